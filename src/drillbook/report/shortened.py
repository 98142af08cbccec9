"""Shortens sentences about failures. The reason and the advice are often at the end of a sentence, so other parts are
shortened first.
"""

from __future__ import annotations

import re

from drillbook.report.figures import one_line

MOST_COMMAND = 32
"""Number of characters to which a long command is cut. It is cut only in a text that is too long."""
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://([^\s/'\"`<>]+)([^\s'\"`<>]*?)(?=[.,;:)]*(?:[\s'\"`<>]|$))")
_LAST_CLAUSE = re.compile(r" \([^()]+\)$|[:;] [^:;]+$")
_CLAUSES = re.compile(r"(.+)(?:[,;:] | \()")
"""Pattern of all clauses of a text but the last, which may be cut off in the middle."""
_COMMAND = re.compile(rf"`([^`\n]{{{MOST_COMMAND}}})[^`\n]+`")


def shortened(text: str, most: int, *, whole_words: bool = False) -> str:
    """Return ``text`` in one line with at most ``most`` characters.

    A text that is too long is shortened in three stages, until it fits. First, each URL is replaced by the last part of its
    path. Then long commands in backticks are cut. Then the end of the text is cut. If the last clause of the text is short,
    it is kept, and the text before it is cut instead, because the last clause often tells what to do.

    With ``whole_words``, no name or date is cut, unless it takes more than half of the text. If nothing follows the cut, it
    is at the end of a clause, if one ends in the second half of the text.
    """
    line = one_line(text)
    for pattern, form in ((_URL, _last_part), (_COMMAND, _cut_command)):
        line = line if len(line) <= most else pattern.sub(form, line)
    if len(line) <= most:
        return line
    clause = _LAST_CLAUSE.search(line)
    end = clause[0] if clause and len(clause[0]) <= most // 2 else ""
    room = most - 1 - len(end)
    kept = line[:room]
    if whole_words and not line[room].isspace() and (words := kept.rpartition(" ")[0].rstrip()) and len(words) >= room // 2:
        kept = words.rstrip(",;:(")
    if whole_words and not end and (whole := _CLAUSES.match(kept)) and len(whole[1]) >= room // 2:
        kept = whole[1]
    return f"{kept.rstrip(' ,;:(' if whole_words else None)}…{end}"


def _last_part(url: re.Match[str]) -> str:
    """Return the end of the URL's path, or its host when it has no path."""
    path = url[2].partition("?")[0].rstrip("/")
    return f"…/{path.rpartition('/')[2]}" if path else url[1]


def _cut_command(command: re.Match[str]) -> str:
    return f"`{command[1].rstrip()}…`"
