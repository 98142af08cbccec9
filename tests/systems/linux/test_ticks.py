"""CPU use of a process and its descendants, from two readings of the kernel."""

import pytest

from drillbook.systems.linux import ticks


def test_ticks():
    before, after = "at 10.00\n1 0 5\n7 1 100\n8 7 10\n9 1 900\n", "at 12.00\n1 0 5\n7 1 150\n9 1 999\n11 7 20\n12 11 30\n"
    told = ticks.load_of(7, f"hz 100\n{before}{after}")
    assert told == {"processes": 3, "cpu_percent": 50.0, "cpu_error": 3.2}
    for gone in (9999, 8, 11):
        with pytest.raises(ValueError, match="does not exist"):
            ticks.load_of(gone, f"hz 100\n{before}{after}")
