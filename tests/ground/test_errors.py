"""Errors: the tree at the head of their module is the real one, and a message shows its place, its line and its hint."""

import re

import pytest

from drillbook import errors
from drillbook.errors import CouldNotVerify, DrillbookError, SourceError, UsageError, Where, escaped, message_of, visible


def kinds(kind=DrillbookError):
    return [kind, *(one for below in kind.__subclasses__() if below.__module__ == errors.__name__ for one in kinds(below))]


def test_the_tree_at_the_head_names_every_error_below_its_parent_with_its_status():
    above, seen = {}, set()
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?: +exit (\d))?", line)
        if not found:
            continue
        depth, kind = len(found[1]) // 4, getattr(errors, found[2])
        above[depth] = kind
        seen.add(kind)
        status = int(found[3]) if found[3] else above[depth - 1].exit_status
        assert kind.exit_status == status, found[2]
        assert depth == 0 or kind.__bases__ == (above[depth - 1],), found[2]
    assert seen == set(kinds())


def test_no_code_stands_for_two_errors():
    codes = [kind.code for kind in kinds() if "code" in vars(kind)]
    assert len({*codes}) == len(codes)


def test_the_hint_stands_below_the_message():
    assert str(CouldNotVerify("it broke", hint="mend it")) == "it broke\n  hint: mend it"
    assert str(CouldNotVerify("it broke")) == message_of(CouldNotVerify("it broke", hint="mend it")) == "it broke"
    assert message_of(ValueError("odd")) == "odd"


def test_a_mistake_in_a_file_shows_its_line_with_a_caret():
    error = SourceError("no such key", where=Where("x.yml", 3, 5), excerpt="a:  bc", hint="write d")
    assert str(error) == "x.yml:3:5: no such key\n  | a:  bc\n  |     ^\n  hint: write d"


def test_the_same_hint_is_shown_once_for_all_mistakes_of_a_file():
    error = SourceError("one", where=Where("x.yml", 1, 1), hint="see the page")
    error.others = (SourceError("two", where=Where("x.yml", 2, 1), hint="see the page"),)
    assert str(error).count("hint: see the page") == 1
    assert error.later == "Further checks follow when these mistakes are corrected."
    assert isinstance(error, UsageError)


@pytest.mark.parametrize(("text", "shown"), [("a\x1b[2Jb", r"a\x1b[2Jb"), ("é\n", "é\n"), ("\u202e", r"\u202e")])
def test_what_could_control_a_terminal_is_escaped(text, shown):
    assert escaped(text) == shown


def test_a_long_text_is_cut():
    assert visible("x" * 9, limit=5) == "xxxxx..."
    assert visible("x" * 5, limit=5) == "xxxxx"
