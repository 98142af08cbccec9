"""Durations as people write them."""

from __future__ import annotations

import pytest

from drillbook.language import durations


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (7.41, 1, "7.4 s"),
        (7.41, None, "7.41 s"),
        (0.0, None, "0 s"),
        (0, 2, "0.00 s"),
        (300.0, None, "5 min"),
        (59.9996, 2, "1 min"),
        (144.5, 2, "2 min 24.50 s"),
        (3600.0, None, "1 h"),
        (3661.0, None, "1 h 1 min 1 s"),
        (3601.2, 1, "1 h 1.2 s"),
        (90061.0, None, "1 d 1 h 1 min 1 s"),
        (-2.5, 1, "\N{MINUS SIGN}2.5 s"),
    ],
)
def test_seconds(value: float, digits: int | None, written: str) -> None:
    assert durations.seconds(value, digits) == written
