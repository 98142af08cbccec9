"""Long texts, such as scripts and answers of services: a report first shows only their beginning."""

from __future__ import annotations

from drillbook.report.figures import count

LONG_LINES, LONG_TEXT = 20, 800
"""Maximum size of a text that is shown completely: number of lines, and number of characters. Of a longer text, a report shows
the first part. In a page, the whole text is folded below it. When the page is printed on paper, only the first part is printed.
"""
FIRST_LINES, FIRST_TEXT = 12, 500
"""Maximum size of the first part of a long text: number of lines, and number of characters."""


def is_long(text: str) -> bool:
    """Return True for a text of which a report shows only the first part."""
    return len(text) > LONG_TEXT or text.count("\n") >= LONG_LINES


def first_part(text: str) -> str:
    """Return the first part of a long text. It ends with a whole line, unless this would make the part shorter than
    half of ``FIRST_TEXT``."""
    part = "\n".join(text[:FIRST_TEXT].split("\n")[:FIRST_LINES])
    end = part.rfind("\n", FIRST_TEXT // 2) if len(part) == FIRST_TEXT else -1
    return part[:end] if end > 0 else part


def size(text: str) -> str:
    """Return the number of lines and of characters of a text."""
    lines = text.count("\n") + 1
    return f"{count(lines, 'line')}, {len(text):,} characters" if lines > 1 else f"{len(text):,} characters"
