"""Makes a section of the page about drills. The section describes how to compare the content of a service after a restore."""

from __future__ import annotations

import inspect
import re

from drillbook.catalog import shipped_files
from drillbook.sdk import examples
from drillbook.sdk.action import find, known_names

_NAMES = re.compile(r"\.(matches|compare)$")
TEXT = """\
## Comparing the content

An answer of a restored service proves that it answers, and not that its data came back. These actions compare the content. Write
one of them in the phase `verify`:

| action | what it compares | shipped drills that use it |
|---|---|---|
%s
For data that none of these actions can compare, write commands or requests of your own. They read the data before the fault and
after the restore ([proof of content](content.md)):

```yaml
%s
```

A single fact about your data is checked by a step with `expect`, such as `postgres.sql` or `mariadb.sql`:
`expect: result.value > 1000`. Such a step proves nothing about the rest of the data.

"""


def compares(name: str) -> bool:
    """Return True for an action that compares content. Return False for `env.matches`, which compares only names of
    variables."""
    return find(name).COMPARES or (_NAMES.search(name) is not None and not name.startswith("env."))


def drills_with(name: str) -> list[str]:
    """Return the names of the shipped drills that have a step with the action ``name``, sorted."""
    step = re.compile(rf"^\s*- {re.escape(name)}:", re.MULTILINE)
    files = sorted((shipped_files.root() / "drills").rglob("*.yml"))
    return sorted({path.stem for path in files if step.search(path.read_text(encoding="utf-8"))})


def section() -> str:
    """Return the section as Markdown: the actions that compare content, and an example for data of any kind."""
    rows = []
    for name in filter(compares, known_names()):
        does = inspect.cleandoc(find(name).__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        used = ", ".join(f"`{drill}`" for drill in drills_with(name))
        rows.append(f"| [`{name}`](actions.md#{name.replace('.', '')}) | {does} | {used} |\n")
    shown = examples.of("content.matches", shipped_files.root() / "drills")
    return TEXT % ("".join(rows), shown.text if shown else "")
