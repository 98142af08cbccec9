"""Pages of runbooks for a rehearsal of one backup source, and the commands on them that a person types."""

import os
import re
import textwrap

from drillbook.cli import make_runbook
from drillbook.inventory import inventory
from drillbook.plan import planner, spec

SOURCE = f"pasted-{os.getpid()}"
"""Name of the backup source. The new folder is named after it, so each process of the tests has folders of its own."""
DRILL = """\
drill: rehearse
title: A backup
service: {target}
objectives: {{}}
guard: {{environments: [staging]}}
backup:
  - backup.check: {{service: {source}}}
restore:
  - backup.restore: {{service: {target}, from: {source}, at: "{at}"}}
verify:
  - backup.measure: {{service: {source}}}
"""


def page(folder, hosts, backup, *, target, at="latest"):
    """Text of the runbook that restores a backup of ``SOURCE`` into ``target``.

    ``hosts``: inventory up to its key `backups`. ``backup``: value of the source below this key. Files are written to
    ``folder``.
    """
    (folder / "inventory.yml").write_text(f"{hosts}  {SOURCE}: {backup}\n")
    (folder / "rehearse.yml").write_text(DRILL.format(source=SOURCE, target=target, at=at))
    plan = planner.make(spec.load(folder / "rehearse.yml"), inventory.load(folder / "inventory.yml"))
    return make_runbook.page(plan, "staging")


def commands(text):
    """Blocks of commands on the page ``text``, in their order."""
    return [textwrap.dedent(one) for one in re.findall(r"```sh\n(.*?)\n    ```", text, re.DOTALL)]
