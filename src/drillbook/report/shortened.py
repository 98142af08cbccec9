"""Shortens sentences about failures. Addresses and commands are shortened first, because the reason is often at the end."""

from __future__ import annotations

import re

from drillbook.report.figures import one_line

MOST_COMMAND = 32
"""Largest length to which a command is cut if its sentence is too long."""
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://([^\s/'\"`<>]+)([^\s'\"`<>]*?)(?=[.,;:)]*(?:[\s'\"`<>]|$))")
_COMMAND = re.compile(rf"`([^`\n]{{{MOST_COMMAND}}})[^`\n]+`")


def shortened(text: str, most: int) -> str:
    """Return ``text`` in one line with at most ``most`` characters.

    In a text that is too long, the last part of a URL's path stands for the URL. If this is not enough, long commands in
    backticks are cut, and at last the end of the text.
    """
    line = one_line(text)
    for pattern, form in ((_URL, _last_part), (_COMMAND, _cut_command)):
        line = line if len(line) <= most else pattern.sub(form, line)
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _last_part(url: re.Match[str]) -> str:
    """Return the end of the URL's path, or its host when it has no path."""
    path = url[2].partition("?")[0].rstrip("/")
    return f"…/{path.rpartition('/')[2]}" if path else url[1]


def _cut_command(command: re.Match[str]) -> str:
    return f"`{command[1].rstrip()}…`"
