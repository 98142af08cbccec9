"""Explains syntax errors in YAML that are caused by wrong indentation or tabs. The explanation names the lines to compare."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_KEY = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s#'"{\[\-&*!|>%@`][^#]*?):(?:\s|$)""")
_DASH = re.compile(r"-(\s+|$)")


@dataclass(frozen=True, slots=True)
class _Level:
    """A list or a mapping to which the next line may add an entry. ``indent``: its indentation. ``line``: number of the line
    with its last entry, counted from 1.
    """

    indent: int
    listed: bool
    line: int


def explained(problem: str, lines: Sequence[str], line: int, column: int) -> tuple[str, str] | None:
    """Return a message and a hint for the error ``problem`` at a position that is counted from 0. Return None when
    neither the indentation nor a tab causes the error.
    """
    text = lines[line] if line < len(lines) else ""
    if "'\\t'" in problem:
        return _tab(lines, line, column)
    if not text.strip() or (begins := len(text) - len(text.lstrip(" "))) > column:
        return None
    if "expected '<document start>'" in problem:
        first = next((number for number, other in enumerate(lines) if _means(other)), 0)
        return (
            f"wrong indentation: this line has {_spaces(begins)} before it, but line {first + 1} has {_spaces(_indent(lines[first]))}",
            "indent all top-level keys of the file equally, preferably with no spaces",
        )
    if "mapping values are not allowed" in problem:
        return _continued(lines, line, column)
    return _misplaced(lines, line) if "expected <block end>" in problem and column == begins else None


def swallowed(lines: Sequence[str], first: int, last: int) -> int | None:
    """Return the number of a line that begins with a dash like an entry of a list, although YAML reads this line as a part of
    the text that begins in line ``first``. Return None when there is no such line up to line ``last``. Lines are counted from
    0.
    """
    return next(
        (number for number in range(first + 1, min(last + 1, len(lines))) if _DASH.match(lines[number].lstrip())), None
    )


def _tab(lines: Sequence[str], line: int, column: int) -> tuple[str, str]:
    if lines[line][:column].strip():
        return "there is a tab, where only spaces are allowed", "write a space instead of the tab"
    others = [str(number + 1) for number in range(line + 1, len(lines)) if re.match(r" *\t\s*\S", lines[number])]
    more = f", and so {'are lines' if len(others) > 1 else 'is line'} {', '.join(others)}" if others else ""
    return f"this line is indented with a tab{more}", "indent with spaces, not tabs"


def _continued(lines: Sequence[str], line: int, column: int) -> tuple[str, str] | None:
    """Explain a key with a wrong indentation. The line above the key has a value and a smaller indentation, so the key seems
    to continue this value.
    """
    if _DASH.match(lines[line].lstrip()):
        return _misplaced(lines, line)
    above = next((number for number in reversed(range(line)) if _means(lines[number])), None)
    key = _KEY.match(lines[line].lstrip())
    if above is None or not key or lines[line].index(":", _indent(lines[line])) != column:
        return None
    level = _levels(lines, line)[-1:]
    if not level or level[0].listed or level[0].line != above + 1 or level[0].indent >= _indent(lines[line]):
        return None
    return (
        f"wrong indentation: this line has {_spaces(_indent(lines[line]))} before it, so it continues the value of line {above + 1}",
        (
            f"indent this line by {_spaces(level[0].indent)}, like line {above + 1}; or put the text that it continues in "
            "quotation marks"
        ),
    )


def _misplaced(lines: Sequence[str], line: int) -> tuple[str, str] | None:
    """Explain a line whose indentation is wrong: the line contains an entry of a list, or a key, but no list or mapping above
    the line has this indentation. Return None for any other line.
    """
    text, indent = lines[line].lstrip(), _indent(lines[line])
    listed = bool(_DASH.match(text))
    fitting = [level for level in _levels(lines, line) if level.listed == listed]
    if not fitting or any(level.indent == indent for level in fitting) or not (listed or _KEY.match(text)):
        return None
    near = sorted(fitting, key=lambda level: (abs(level.indent - indent), -level.line))[:2]
    what = "list" if listed else "key"
    places = ", or ".join(f"by {_spaces(level.indent)}, like line {level.line}" for level in near)
    return (
        f"wrong indentation: this line has {_spaces(indent)} before it, which matches no {what} above it",
        f"indent this line {places}",
    )


def _levels(lines: Sequence[str], end: int) -> list[_Level]:
    """Return the lists and mappings that are open before the line ``end``, the outermost first."""
    levels: list[_Level] = []
    for number in range(end):
        if not _means(lines[number]):
            continue
        indent, text = _indent(lines[number]), lines[number].lstrip()
        levels = [level for level in levels if level.indent <= indent]
        while dash := _DASH.match(text):
            levels = [
                *(level for level in levels if (level.indent, level.listed) != (indent, True)),
                _Level(indent, True, number + 1),
            ]
            indent, text = indent + dash.end(), text[dash.end() :]
        if _KEY.match(text):
            levels = [
                *(level for level in levels if (level.indent, level.listed) != (indent, False)),
                _Level(indent, False, number + 1),
            ]
    return levels


def _means(line: str) -> bool:
    """Return True when the line has content. Blank lines, comments and the line `---` have no content."""
    return bool(line.strip()) and not line.lstrip().startswith("#") and not line.startswith("---")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _spaces(number: int) -> str:
    return "no space" if number == 0 else f"{number} space{'s' * (number != 1)}"
