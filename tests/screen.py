"""Lines that a program left on a terminal, as a reader sees them after its end."""

from __future__ import annotations

import os
import re

from rich.cells import cell_len

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|.", re.DOTALL)


def lines(text: str, columns: int = 80) -> list[str]:
    """All lines of a terminal with ``columns`` columns, also those that have scrolled off its top.

    Of the control sequences, those that rich uses to draw again are obeyed: up, erase the line, and back to its start.
    """
    rows: list[list[str]] = [[]]
    at, column = 0, 0
    for match in SEQUENCE.finditer(text):
        sign = match[0]
        if sign == "\n":
            at, column = at + 1, 0
        elif sign == "\r":
            column = 0
        elif sign.endswith("A") and len(sign) > 1:
            at = max(0, at - int(sign[2:-1] or 1))
        elif sign == "\x1b[2K":
            rows[at] = []
        elif len(sign) == 1 and cell_len(sign):
            at, column = (at + 1, 0) if column == columns else (at, column)
            rows.extend([] for _ in range(at + 1 - len(rows)))
            row = rows[at]
            row.extend(" " * (column + 1 - len(row)))
            row[column] = sign
            column += 1
        rows.extend([] for _ in range(at + 1 - len(rows)))
    told = ["".join(row).rstrip() for row in rows]
    while told and not told[-1]:
        told.pop()
    return told


def read(terminal: int) -> str:
    """Output of a program until it closes the terminal."""
    said = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            return said.decode()
        if not data:
            return said.decode()
        said += data
