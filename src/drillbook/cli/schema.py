"""The task `schema`: prints the JSON Schema of drills, inventories or diagnosis trees."""

from __future__ import annotations

from drillbook.cli.console import stdout
from drillbook.errors import UnknownName
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called
from drillbook.language.strict import did_you_mean
from drillbook.plan.schema import KINDS, text


def show(kind: str) -> int:
    """Print the schema of ``kind``. Raises UnknownName when there is no schema for ``kind``."""
    if kind not in KINDS:
        raise UnknownName(
            f"there is no schema {kind!r}" if kind else "the name of the schema is missing",
            hint=f"{did_you_mean(kind, KINDS)}schemas: {', '.join(KINDS)}",
        )
    stdout().write(as_called(text(kind)))
    return Exit.OK
