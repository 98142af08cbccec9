"""Draws a flame graph as SVG. The width of a frame is its share of the samples. Callers are below the functions that they
call.

The form is Brendan Gregg's (https://www.brendangregg.com/flamegraphs.html). The file is safe to open: it
contains no script, and names from the target are written as text.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

WIDTH = 1200
ROW = 18
THINNEST = 0.5
"""Smallest width of a frame in pixels. Narrower frames are left out."""
_LETTER = 6.6


@dataclass(slots=True)
class _Node:
    name: str
    count: int = 0
    children: dict[str, _Node] = field(default_factory=dict)


def svg(samples: Mapping[tuple[str, ...], int], title: str, unit: str = "samples") -> str:
    """Draw ``samples``. The key of each entry is a stack (outermost frame first), and the value is its weight, such as the
    number of samples. ``unit``: unit of the weights.
    """
    root = _Node("all")
    for stack, count in samples.items():
        node = root
        node.count += count
        for name in stack:
            node = node.children.setdefault(name, _Node(name))
            node.count += count
    boxes = list(_boxes(root))
    height = (max(level for _, level, _, _ in boxes) + 1) * ROW + 40
    drawn = "\n".join(
        _drawn(node, height - 10 - (level + 1) * ROW, x, wide, f"{node.count} {unit}, {_percent(node, root)}")
        for node, level, x, wide in boxes
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="monospace" font-size="11" role="img" aria-label="{_text(title)}">\n'
        f"<title>{_text(title)}</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n<text x="6" y="18" font-size="13">{_text(title)}</text>\n'
        f"{drawn}\n</svg>\n"
    )


def _boxes(root: _Node) -> Iterator[tuple[_Node, int, float, float]]:
    """Yield every frame that is wide enough, with its level, left edge and width in pixels."""
    todo = [(root, 0, 0.0)]
    scale = WIDTH / max(1, root.count)
    while todo:
        node, level, x = todo.pop()
        if node.count * scale < THINNEST and level:
            continue
        yield node, level, x, node.count * scale
        for child in sorted(node.children.values(), key=lambda callee: callee.name):
            todo.append((child, level + 1, x))
            x += child.count * scale


def _percent(node: _Node, root: _Node) -> str:
    return f"{100 * node.count / max(1, root.count):.1f} %"


def _drawn(node: _Node, y: int, x: float, wide: float, said: str) -> str:
    letters = int((wide - 6) / _LETTER)
    name = node.name if len(node.name) <= letters else f"{node.name[: letters - 1]}…" if letters > 2 else ""
    shade = zlib.crc32(node.name.encode("utf-8", "replace")) % 60
    colour = f"hsl({20 + shade},85%,{68 - shade // 6}%)"
    label = f'<text x="{x + 3:.1f}" y="{y + 13}">{_text(name)}</text>' if name else ""
    return (
        f"<g><title>{_text(node.name)}: {_text(said)}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{ROW - 1}" rx="1" fill="{colour}"/>'
        f"{label}</g>"
    )


def _text(text: str) -> str:
    return escape("".join(c if c.isprintable() else "?" for c in text))
