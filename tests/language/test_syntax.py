"""Errors in the syntax of YAML: the hint says what to write instead."""

import pytest

from drillbook.errors import SourceError
from drillbook.language import strict
from drillbook.language.syntax import hint_for


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: b: c", "put a text that contains `: ` in quotation marks"),
        ("a: {b: 1", "close the `{`"),
        ("a: [1, 2", "close the `[`"),
        ("a: 'x", "a quotation mark is not closed"),
        ("a: *x", "put a text that begins with * in quotation marks"),
        ("a: @x", "put a text that begins with this character in quotation marks"),
        ("a: 1\n---\nb: 2\n", "remove the line `---`"),
        ('a: "\\d"', "in double quotes write"),
        ("a: 1\nb\n", "write `key: value`, with a space after the colon"),
    ],
)
def test_an_error_of_the_syntax_has_a_hint(text, hint):
    with pytest.raises(SourceError) as told:
        strict.parse(text, "x.yml")
    assert hint in told.value.hint


def test_an_unknown_problem_has_no_hint():
    assert hint_for("the moon is full") == ""
