"""The task `schema`: prints the JSON Schema of a kind of file."""

from __future__ import annotations

from drillbook.cli.console import stdout
from drillbook.errors import UnknownName
from drillbook.language.strict import did_you_mean
from drillbook.plan.schema import KINDS, text


def show(kind: str) -> int:
    """Print the schema of ``kind``. Raises UnknownName."""
    if kind not in KINDS:
        raise UnknownName(
            f"there is no schema {kind!r}" if kind else "which schema? its name is missing",
            hint=f"{did_you_mean(kind, KINDS)}there are: {', '.join(KINDS)}",
        )
    stdout().write(text(kind))
    return 0
