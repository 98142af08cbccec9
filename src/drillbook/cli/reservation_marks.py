"""Marks after the verdict of a run in a list: of open findings (``!``), of reservations (such as ``†``), of lost data (``§``) and of
rehearsals of no routine backup (``‖``), and the lines with the meanings of all but the first below the list.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text


def add(verdict: Text, marks: str, findings: str = "") -> None:
    """Append the mark of open findings, if the run has ``findings``, and then ``marks`` to the verdict of a run."""
    if findings:
        verdict.append(" !", style="yellow")
    if marks:
        verdict.append(f" {marks}", style="yellow")


def is_repeated(marks: str) -> bool:
    """Return True if the drill of a run with these ``marks`` should run again after the next routine backup."""
    if not marks:
        return False
    from drillbook.report import remarks  # noqa: PLC0415  keeps start-up fast

    return remarks.EARLIER_MARK in marks


def print_legend(marks: Iterable[str], out: Console) -> None:
    """Print the meanings of the marks that a list shows. If the list shows no marks, nothing is printed."""
    if shown := "".join(marks):
        from drillbook.report import remarks  # noqa: PLC0415  keeps start-up fast

        if remarks.SHORT_MARK in shown:
            out.print(Text(remarks.LOST_DATA, style="dim"))
        apart = {ord(remarks.EARLIER_MARK): None, ord(remarks.SHORT_MARK): None}
        if reserved := remarks.short_legend(shown.translate(apart)):
            out.print(Text(f"passed, RPO met but not proven: {reserved}", style="dim"))
        if remarks.EARLIER_MARK in shown:
            out.print(Text(remarks.NOT_ROUTINE, style="dim"))
