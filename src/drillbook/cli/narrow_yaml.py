"""Breaks long lines of YAML between words and entries, so that an example fits on a terminal and can still be copied."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

import yaml

_REMARK = re.compile(r"( *)(\S.*?) {2,}(# .*)")
"""Pattern of a line that ends with a comment."""
_FLOW = re.compile(r"( *)((?:- )?)((?:[^\s\[{:\"']+: )?)([\[{].*[\]}])")
"""Pattern of a line whose value is a mapping in braces, or a list in brackets."""


def narrowed(text: str, width: int) -> str:
    """Break the lines of ``text`` that are longer than ``width`` columns. A line stays longer if a single word is too long.
    A YAML parser reads the same value from the result."""
    return "\n".join(part for line in text.splitlines() for part in _parts(line, width))


def _parts(line: str, width: int) -> Iterator[str]:
    """Yield the shorter lines into which ``line`` is broken."""
    if len(line) <= width:
        yield line
    elif remark := _REMARK.fullmatch(line):
        yield from textwrap.wrap(remark[3], width, initial_indent=remark[1], subsequent_indent=f"{remark[1]}# ")
        yield from _parts(f"{remark[1]}{remark[2]}", width)
    elif flow := _FLOW.fullmatch(line):
        yield from _block(flow[1], flow[2], flow[3], flow[4], width)
    else:
        indent = len(line) - len(line.lstrip(" -")) + 2
        yield from (
            textwrap.wrap(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
            if "  " not in line.strip()
            else (line,)
        )


def _block(indent: str, dash: str, key: str, flow: str, width: int) -> Iterator[str]:
    """Yield the mapping or list ``flow`` in block style, one entry on each line. The entries follow below ``key``, or after the
    ``dash`` if there is no key."""
    node = yaml.compose(flow, Loader=yaml.SafeLoader)
    if isinstance(node, yaml.MappingNode):
        entries = [flow[name.start_mark.index : value.end_mark.index] for name, value in node.value]
    else:
        entries = [f"- {flow[value.start_mark.index : value.end_mark.index]}" for value in getattr(node, "value", ())]
    before = f"{indent}{dash}"
    if key:
        yield f"{before}{key.rstrip()}"
        before = f"{indent}{' ' * len(dash)}  "
    for entry in entries:
        yield from _parts(f"{before}{entry}", width)
        before = " " * len(before)
