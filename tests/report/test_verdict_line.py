"""The last line of a run: verdict, name and title."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from drillbook.report.terminal.verdict_line import VerdictLine

TITLE = "Recovery of the database, the cache and the files"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, [f"✓ PASSED  exit 0  nightly: {TITLE}"]),
        (76, [f"✓ PASSED  exit 0  nightly: {TITLE}"]),
        (75, [f"  {TITLE}", "✓ PASSED  exit 0  nightly"]),
        (40, ["  Recovery of the database, the cache", "  and the files", "✓ PASSED  exit 0  nightly"]),
    ],
)
def test_a_title_that_does_not_fit_beside_the_verdict_is_above_it(width: int, lines: list[str]) -> None:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    out.print(VerdictLine(Text("✓ PASSED  exit 0"), "nightly", TITLE))
    assert out.file.getvalue().splitlines() == lines  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "line"), [(76, f"✓ PASSED  exit 0  nightly: {TITLE}"), (75, "✓ PASSED  exit 0  nightly")])
def test_a_short_ending_leaves_out_a_title_that_does_not_fit(width: int, line: str) -> None:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    out.print(VerdictLine(Text("✓ PASSED  exit 0"), "nightly", TITLE, short=True))
    assert out.file.getvalue().splitlines() == [line]  # type: ignore[attr-defined]
