"""Refusals before a drill: each says what to do about it."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "drillbook"


def refusals():
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "NotReady(" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "NotReady":
                    yield f"{path.relative_to(SOURCE)}:{node.lineno}", {one.arg for one in node.keywords}


def test_every_refusal_says_what_to_do():
    found = dict(refusals())
    assert len(found) > 200
    assert [place for place, keywords in found.items() if "hint" not in keywords] == []
