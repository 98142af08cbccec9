"""Parts of an output that fit the screen."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from drillbook.cli.fitting_parts import Part, counted, fitting


def part(name, lines=1, rank=0, named=""):
    return Part(Text("\n".join([name] * lines)), rank, named)


def terminal(height, *, force=True):
    return Console(file=io.StringIO(), width=80, height=height, color_system=None, force_terminal=force)


PARTS = [part("head"), part("b", 3, 2, "cause"), part("a", 4, 1, "observation"), part("c", 1, 2, "cause"), part("remedy", 2)]


@pytest.mark.parametrize(
    ("height", "kept"),
    [
        (40, ["head", "b", "a", "c", "remedy"]),
        (13, ["head", "b", "a", "c", "remedy"]),
        (12, ["head", "b", "a", "remedy"]),
        (10, ["head", "a", "c", "remedy"]),
        (8, ["head", "b", "remedy"]),
        (3, ["head", "remedy"]),
    ],
)
def test_the_parts_of_the_lowest_rank_are_kept_as_far_as_they_fit(height, kept):
    """One line is for the prompt, and one for what comes below the parts."""
    here, left = fitting(PARTS, terminal(height), below=1)
    assert [str(one.shown).splitlines()[0] for one in here] == kept
    assert [one for one in PARTS if one not in here] == left


def test_a_file_gets_every_part():
    assert fitting(PARTS, terminal(3, force=False)) == (PARTS, [])


def test_what_was_left_out_is_counted_by_its_name():
    assert counted(PARTS, {"cause": 1, "check": 3, "service": 0}) == "3 causes, 1 observation, 3 checks"
    assert counted([PARTS[0]], {}) == ""
