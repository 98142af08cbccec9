"""Wrong indentation and tabs: the message compares the line with the lines that it should match."""

import pytest

from drillbook.errors import SourceError
from drillbook.language import strict

CASES = {
    "a tab": ("a:\n\t- 1\n\t- 2\n", 2, "this line is indented with a tab, and so is line 3", "indent with spaces, not tabs"),
    "tabs": (
        "a:\n\t- 1\n\t- 2\n\t- 3\n",
        2,
        "this line is indented with a tab, and so are lines 3, 4",
        "indent with spaces",
    ),
    "a top-level key": (
        "  a: 1\nb: 2\n",
        2,
        "this line has no space before it, but line 1 has 2 spaces",
        "indent all top-level keys of the file equally",
    ),
    "a key that continues a value": (
        "a: text\n  b: 2\n",
        2,
        "this line has 2 spaces before it, so it continues the value of line 1",
        "indent this line by no space, like line 1",
    ),
    "a key between two levels": (
        "a:\n    b:\n        c: 1\n      d: 2\n",
        4,
        "this line has 6 spaces before it, which matches no key above it",
        "indent this line by 8 spaces, like line 3, or by 4 spaces, like line 2",
    ),
    "an entry between two levels": (
        "a:\n    - b\n  - c\n",
        3,
        "this line has 2 spaces before it, which matches no list above it",
        "indent this line by 4 spaces, like line 2",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_indentation_is_told_with_the_lines_to_compare(name):
    text, line, message, hint = CASES[name]
    with pytest.raises(SourceError) as told:
        strict.parse(text, "x.yml")
    assert message in told.value.message
    assert hint in told.value.hint
    assert told.value.where.line == line


def test_an_entry_of_a_list_that_continues_a_text_is_told():
    with pytest.raises(SourceError, match="this line continues the text of line 2, and is no entry of a list"):
        strict.parse("a:\n  - b: c\n     - d\n", "x.yml")
