"""Records runs of shipped drills on the embedded lab, for ``recording``.

Meanwhile the machine is called ops-laptop, and the lab has a fixed folder, because both appear in the journal.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from drillbook.cli.orchestration import Orchestrator
from drillbook.journal.journal import FILE, Event
from drillbook.lab import control
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from drillbook.project.project import Project
from tests.report.samples import JOURNALS

ROOT = Path(__file__).parents[2]
LAB = Path("/var/tmp/drillbook-recording")
MACHINE = "ops-laptop"
RARER = (("every: 100ms", "every: 200ms"), ("every: 50ms", "every: 100ms"))
DRILLS: dict[str, tuple[tuple[str, str], ...]] = {
    "passed": RARER,
    "failed": (
        *RARER,
        ("rpo: 2m", "rpo: 10ms"),
        (", closed: true", ""),
        ("  - postgres.admit: {service: database}\n    name: Let the clients in\n", ""),
    ),
    "stopped": RARER,
}
"""Changes of the text of the drill ``postgres-lost``, for short journals.

In ``failed``, clients get access before the comparison, and one of them deletes rows. ``stopped`` is stopped during its restore.
"""
STOPPED: list[int] = []
"""Number of the event after which the run was stopped."""
DOCUMENTS = """\
  - http.responds: {url: "{{ services.api.url }}/api/v1/documents", status: 200}
    name: Documents are served
"""
NOT_RUNNING = "  - service.status: {service: api, state: stopped}\n    name: The API is stopped\n"
PRINTED: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "printed/cache_lost": ("handbook/cache-lost", RARER),
    "printed/answer": (
        "handbook/api-down",
        (*RARER, (DOCUMENTS, f"{DOCUMENTS}    expect: result.json.limit == 3\n"), ("timeout: 45s", "timeout: 5s")),
    ),
    "printed/polls": ("handbook/api-down", (*RARER, (DOCUMENTS, NOT_RUNNING), ("timeout: 45s", "timeout: 20s"))),
}
"""Drills whose reports ``test_paper`` prints, and changes of their text.

``answer`` expects another answer than that of 20 documents; ``polls`` asks the service manager again and again for another state.
"""


def record(names: Sequence[str]) -> None:
    """Run the drills and store their journals."""
    if names:
        named = f'echo {MACHINE} > /proc/sys/kernel/hostname && exec "$@"'
        words = ("unshare", "--uts", "sh", "-c", named, "sh", sys.executable, "-m", "tests.report.lab_recording", *names)
        subprocess.run(words, check=True)


def main() -> None:
    os.environ.update(DRILLBOOK_LAB=str(LAB), DRILLBOOK_OPERATOR="li.wei")
    control.up(LAB)
    try:
        for name in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as folder:
                (JOURNALS / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(_run(name, Path(folder)) / FILE, JOURNALS / f"{name}.jsonl")
    finally:
        control.down(LAB)


def _run(name: str, root: Path) -> Path:
    for folder in ("drills", "inventory"):
        shutil.copytree(ROOT / folder, root / folder)
    drill, changes = PRINTED.get(name) or ("postgres-lost", DRILLS[name])
    path = root / "drills" / f"{drill}.yml"
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)
    project = Project(root)
    inventory = project.inventory("lab")
    observer: Callable[[Event], None] = {"failed": _delete, "stopped": _stop}.get(name, lambda event: None)
    folder, _ = Orchestrator(project, inventory, observer).run(make(load(path), inventory))
    return folder


def _stop(event: Event) -> None:
    """Press Ctrl-C during the restore, once."""
    if event.kind == "progress" and event.step == "restore.1" and not STOPPED:
        STOPPED.append(event.seq)
        os.kill(os.getpid(), signal.SIGINT)


def _delete(event: Event) -> None:
    """Delete rows as soon as the database is restored."""
    if event.kind != "done" or event.step != "restore.1":
        return
    password = Path(str(control.lookup(LAB, "secrets.pg_admin"))).read_text()
    with psycopg.connect(
        host="127.0.0.1", port=control.lookup(LAB, "postgres.db-1"), dbname="dpa", user="postgres", password=password
    ) as session:
        session.execute("DELETE FROM chunks WHERE ctid IN (SELECT ctid FROM chunks LIMIT 13)")


if __name__ == "__main__":
    main()
