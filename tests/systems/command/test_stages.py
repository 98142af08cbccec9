"""Stages of a script, with its output split at any position."""

import io

import pytest

from drillbook.systems.command.stages import LONGEST, MOST, Stages

OUTPUT = b"hello\n::stage one\nwork\n::stage two and more\r\n::stagenot\n :: stage no\nend"


def stages(parts):
    ticks = iter(range(100))
    inner = io.BytesIO()
    found = Stages(inner, clock=lambda: float(next(ticks)))
    for part in parts:
        assert found.write(part) == len(part)
    return found, inner.getvalue()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_stages_and_everything_passed_on(size):
    found, passed = stages([OUTPUT[at : at + size] for at in range(0, len(OUTPUT), size)])
    assert passed == OUTPUT
    assert found.measured() == [{"name": "one", "seconds": 1.0}, {"name": "two and more", "seconds": 1.0}]
    assert found.tail.endswith("end")


def test_without_stages_there_are_no_durations():
    assert stages([b"hello\n"])[0].measured() == []


def test_endless_lines_and_countless_stages_are_bounded():
    found, _ = stages([b"x" * 10_000, b"\n", b"::stage s\n" * (MOST + 10)])
    assert len(found.measured()) == MOST
    assert len(found._rest) <= LONGEST
