"""Formats any text as Markdown (GitHub's flavour): as escaped text, as code, as a block, or as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from drillbook.report.figures import one_line, shown

REMEMBERED = 4096
"""Size of the cache of escaped lines. The cache saves time, because many steps have the same names, hosts and facts."""
_PIPE = re.compile(r"(?<!\\)\|")


def escape(text: object) -> str:
    """Escape ``text`` into one line that Markdown shows literally, without markup, HTML or table columns."""
    return _escaped(one_line(text))


@lru_cache(REMEMBERED)
def _escaped(line: str) -> str:
    text = re.sub(r"([\\`*_{}\[\]()#+~|!$])", r"\\\1", line)
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "&#64;"), ("://", "&#58;//")):
        text = text.replace(char, entity)
    text = re.sub(r"^(\s*\d+)\.(?=\s|$)", r"\1\\.", text)  # Markdown reads a number with a dot as a list
    return re.sub(r"^(\s*)-", r"\1\\-", text)


def code(text: object) -> str:
    """Format ``text`` as inline code, even if it contains backticks."""
    return _coded(one_line(text))


@lru_cache(REMEMBERED)
def _coded(text: str) -> str:
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def prose(text: object) -> str:
    """Format ``text`` as one line of Markdown. Its lines are joined by semicolons; a line that ends with a colon, a
    semicolon or a comma gets no further semicolon. Parts in backticks become code.
    """
    lines = [line.strip() for line in shown(text).split("\n") if line.strip()]
    return _with_code(re.sub(r"([:;,]); ", r"\1 ", "; ".join(lines)))


def _with_code(line: str) -> str:
    parts = re.split(r"`([^`]+)`", line)
    return "".join(code(part) if number % 2 else escape(part) for number, part in enumerate(parts) if part)


def block(text: object) -> str:
    """Format ``text`` as a fenced block. The fence is longer than any row of backticks in ``text``."""
    content = shown(text).rstrip("\n")
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", content)), default=0) + 1)
    return f"{fence}text\n{content}\n{fence}"


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Make a table with a header row and body rows. The cells are Markdown already.

    Pipes in body cells are escaped.
    """
    cells = [[_PIPE.sub(r"\\|", cell) if "|" in cell else cell for cell in row] for row in body]
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in cells)]
    return "\n".join(f"| {line} |" for line in lines)
