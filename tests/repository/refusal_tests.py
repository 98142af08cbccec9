"""Tests that see both outcomes of a check before a drill, found in their source: it refuses, and it succeeds.

A test sees both when it

- calls ``refused_until`` of tests/systems/refusals.py, which runs the check twice, or
- runs a check inside ``pytest.raises(NotReady, ...)`` and the same check outside of any ``pytest.raises``, or
- runs a check that refuses only in some of its cases (``pytest.raises(...) if ... else nullcontext()``), or
- compares the verdict or exit status of one run with that of a refusal, and of another run with that of success.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

HELPER = "refused_until"
CYCLE = "cycle"
"""Method of the scratch machine of the tests (tests/systems/ground.py) that runs the check of a fault first."""
REFUSED = frozenset({"Verdict.REFUSED", "REFUSED", "4", "90"})
"""The last one is the exit status of a lease script that refuses."""
SUCCESS = frozenset({"Verdict.PASSED", "0"})
_OF_RUN = re.compile(r"\b(verdict|returncode)\b")


def both_seen(path: Path) -> dict[str, str]:
    """Return the tests in the file ``path`` that see both outcomes, by name, each with its words for these refusals."""
    text = path.read_text(encoding="utf-8")
    if not any(word in text for word in (HELPER, "NotReady", "REFUSED", "returncode")):
        return {}
    tree = ast.parse(text)
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    tests = {
        node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    }
    return {name: "\n".join(words) for name, node in tests.items() if (words := tuple(_words(node, tables)))}


def sees_success(path: Path, name: str) -> bool:
    """Return True when the test ``name`` in the file ``path`` sees a check or a run succeed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    return any(HELPER in _outside(node) or _states(node) & SUCCESS for node in found)


def _outside(function: ast.FunctionDef) -> set[str]:
    """Return the calls that a test makes outside of any ``pytest.raises``, without their arguments."""
    inside = {node for block in _blocks(function) for part in block.body for node in ast.walk(part)}
    return {_callee(node, function) for node in ast.walk(function) if isinstance(node, ast.Call) and node not in inside}


def _words(function: ast.FunctionDef, tables: dict[str, ast.expr]) -> Iterator[str]:
    blocks = [block for block in _blocks(function) if "NotReady" in _shown(block)]
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    if not (blocks or HELPER in names or _both_states(function)):
        return
    outside = _outside(function)
    alone = [block for block in blocks if not _is_proven(block, function, outside)]
    unproven = {node for block in alone for item in block.items for node in ast.walk(item)}
    with_parameters = any(isinstance(node, ast.keyword) and isinstance(node.value, ast.Name) for node in unproven)
    if not with_parameters and (HELPER in outside or len(alone) < len(blocks) or _both_states(function)):
        yield from _strings(function, tables, unproven)


def _is_proven(block: ast.With, function: ast.FunctionDef, outside: set[str]) -> bool:
    if any(isinstance(item.context_expr, ast.IfExp) for item in block.items):
        return True
    match block.body[-1]:
        case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
            check = _callee(call, function)
            return check in outside or (check.endswith(".ready") and any(name.endswith(f".{CYCLE}") for name in outside))
    return False


def _both_states(function: ast.FunctionDef) -> bool:
    """Return True for a test that compares with the state of a refusal, and also with that of success."""
    states = _states(function)
    return bool(states & REFUSED and states & SUCCESS)


def _states(function: ast.FunctionDef) -> set[str]:
    """Return the values that the test compares verdicts and exit statuses with; for a parameter, all values in its
    table.
    """
    compared = [node for node in ast.walk(function) if isinstance(node, ast.Compare) and _OF_RUN.search(ast.unparse(node))]
    if any("== verdict" in ast.unparse(node) or "is verdict" in ast.unparse(node) for node in compared):
        compared += function.decorator_list
    return {ast.unparse(part) for node in compared for part in ast.walk(node) if isinstance(part, ast.expr)}


def _blocks(function: ast.FunctionDef) -> list[ast.With]:
    return [node for node in ast.walk(function) if isinstance(node, ast.With) and "pytest.raises(" in _shown(node)]


def _shown(block: ast.With) -> str:
    return " ".join(ast.unparse(item.context_expr) for item in block.items)


def _callee(call: ast.Call, function: ast.FunctionDef) -> str:
    """Return the called expression, such as ``place.action('postgres.dump').ready``: names are replaced by their
    assigned values, and of the arguments only a leading text remains, such as the name of an action.
    """
    return ast.unparse(_Short(_assigned(function)).visit(ast.parse(ast.unparse(call.func), mode="eval").body))


@functools.cache
def _assigned(function: ast.FunctionDef) -> dict[str, str]:
    """Return the names that the function assigns once, with the text of the value."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=False)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(target, node.value)]
                )
                for name, value in pairs:
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(ast.unparse(value))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


class _Short(ast.NodeTransformer):
    """Removes arguments and copies of models, and replaces names by the calls assigned to them."""

    def __init__(self, assigned: dict[str, str]) -> None:
        self.assigned = assigned

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "model_copy":
            return self.visit(node.func.value)
        first = [one for one in node.args[:1] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return ast.Call(func=self.visit(node.func), args=first, keywords=[])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = ast.parse(self.assigned.get(node.id, "None"), mode="eval").body
        if not isinstance(value, ast.Call):
            return node
        rest = {name: text for name, text in self.assigned.items() if name != node.id}
        return _Short(rest).visit(value)


def _strings(function: ast.FunctionDef, tables: dict[str, ast.expr], without: set[ast.AST]) -> Iterator[str]:
    """Yield the texts in the function, and in the module's tables that it names."""
    left, known = [function], set()
    while left:
        for node in ast.walk(left.pop()):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in without:
                yield node.value
            if isinstance(node, ast.Name) and node.id in tables and node.id not in known:
                known.add(node.id)
                left.append(tables[node.id])
