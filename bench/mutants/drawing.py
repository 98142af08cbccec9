"""Places of a module that can be changed, and mutants of them drawn at random by a seed."""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import cosmic_ray.plugins
from bench.mutants.operators import OWN
from cosmic_ray.ast import ast_nodes, get_ast

FAMILIES = ("ReplaceComparisonOperator", "ReplaceBinaryOperator", "ReplaceUnaryOperator")
"""Prefixes of cosmic-ray's operators that change the same place into different things: they count as one place."""
CONFUSED = {"Eq", "NotEq", "Is", "IsNot"}
"""Operators that replace `is` by `==`: no difference for small numbers, words or singletons."""
ARGUED = ("VariableInserter", "VariableReplacer")
"""Operators that need the names of variables."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one module; its key does not depend on the lines above it in the file."""

    module: str
    function: str
    operator: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Module, function and the changed text."""
        return self.module, self.function, self.before, self.after


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which an operator changes one node of a module's syntax tree."""

    operator: str
    node: Any
    index: int


@lru_cache(1)
def operators():
    """Operators by name: cosmic-ray's without arguments, and our own."""
    names = [name for name in cosmic_ray.plugins.operator_names() if not name.endswith(ARGUED)]
    core = {name.partition("/")[2]: cosmic_ray.plugins.get_operator(name) for name in names}
    return {name: kind() for name, kind in {**core, **OWN}.items() if not same(name)}


def same(name: str) -> bool:
    """Return True when the operator only exchanges equality and identity."""
    parts = name.split("_")
    return (
        parts[0] == FAMILIES[0]
        and {parts[1][:2], parts[2][:2]} in ({"Eq", "Is"}, {"No", "Is"})
        and (parts[1].endswith(("Not", "NotEq")) == parts[2].endswith(("Not", "NotEq")))
        and set(parts[1:]) <= CONFUSED
    )


@dataclass(frozen=True, slots=True)
class Module:
    """Text of a module, and every place that can be changed: line, column and family, with the possible changes."""

    name: str
    source: str
    tree: ast.Module
    places: dict[tuple[int, int, str], list[Variant]]

    @classmethod
    def of(cls, name: str, source: str) -> Module:
        tree = ast.parse(source)
        left_out = spans(tree)
        found: dict[tuple[int, int, str], list[Variant]] = {}
        for node in ast_nodes(get_ast(source)):
            if any(begin <= node.start_pos < end for begin, end in left_out):
                continue
            for operator in operators():
                family = next((one for one in FAMILIES if operator.startswith(one)), operator)
                if not possible(node, family) or declared(node, family):
                    continue
                for index, (start, _) in enumerate(operators()[operator].mutation_positions(node)):
                    if not any(begin <= start < end for begin, end in left_out):
                        found.setdefault((*start, family), []).append(Variant(operator, node, index))
        return cls(name, source, tree, found)


def possible(node, family: str) -> bool:
    """Quick check if an operator of ``family`` fits, because there are hundreds of operators."""
    if family == FAMILIES[0]:
        return bool(node.type == "comparison")
    if family == FAMILIES[1]:
        return bool(node.type == "operator")
    if family == FAMILIES[2]:
        return node.type in ("factor", "not_test")
    return True


def declared(node, family) -> bool:
    """Return True for the star or slash of a function's parameters, or the star of an import."""
    return (
        family == FAMILIES[1]
        and node.parent is not None
        and node.parent.type in ("parameters", "param", "import_from", "dictorsetmaker", "arglist")
    )


def spans(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Positions of code without behaviour: annotations, options of data classes, strings and their placeholders."""
    nodes: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs, node.args.vararg, node.args.kwarg]
            nodes += [one.annotation for one in every if one is not None and one.annotation]
            nodes += [node.returns] if node.returns else []
        elif isinstance(node, ast.ClassDef):
            nodes += [call for call in node.decorator_list if isinstance(call, ast.Call)]
        elif isinstance(node, ast.AnnAssign):
            nodes.append(node.annotation)
        elif isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            nodes.append(node)
    return [((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)) for node in nodes]


def mutant(module: Module, variant: Variant) -> Mutant | None:
    """Changed source of ``module``; None when it is not valid Python, or does not differ."""
    source = module.source
    try:
        changed = spliced(source, variant)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # `is` with a literal: tests would fail with a warning, not at their assertions
            new = ast.parse(changed)
            compile(changed, module.name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, AttributeError):  # the last: `except a.b`, which cosmic-ray does not know
        return None
    if ast.dump(module.tree) == ast.dump(new):
        return None
    line, before, after = difference(source.splitlines(), changed.splitlines())
    return Mutant(module.name, function_at(module.tree, line), variant.operator, line, before, after, changed)


def spliced(source: str, variant: Variant) -> str:
    """``source`` with the text of one node after its operator; the tree is restored afterwards."""
    node = variant.node
    kept = [(one, list(one.children) if hasattr(one, "children") else (one.value, one.prefix)) for one in ast_nodes(node)]
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    begin, end = (starts[line - 1] + column for line, column in (node.get_start_pos_of_prefix(), node.end_pos))
    try:
        changed = operators()[variant.operator].mutate(node, variant.index)
        text = changed.get_code() if changed is not None else ""
    finally:
        for one, what in kept:
            if isinstance(what, list):
                one.children = what
            else:
                one.value, one.prefix = what
    return source[:begin] + text + source[end:]


def difference(old: list[str], new: list[str]) -> tuple[int, str, str]:
    """Number of the first different line, and its old and new text."""
    first = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    behind = 0
    while behind < min(len(old), len(new)) - first and old[-1 - behind] == new[-1 - behind]:
        behind += 1
    texts = [" ".join(" ".join(lines[first : len(lines) - behind]).split()) for lines in (old, new)]
    return first + 1, texts[0], texts[1]


def function_at(tree: ast.Module, line: int) -> str:
    """Qualified name of the innermost function or class around ``line``; '' for the module itself."""
    found: list[str] = []

    def look(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                if child.lineno <= line <= (child.end_lineno or 0):
                    found.append(child.name)
                    look(child)
            else:
                look(child)

    look(tree)
    return ".".join(found)


def draw(sources: dict[str, str], count: int, seed: str) -> Iterator[Mutant]:
    """``count`` mutants: each at a place drawn from all modules, with a change drawn from those of the place."""
    chance = random.Random(seed)
    modules = [Module.of(name, source) for name, source in sorted(sources.items())]
    every = [(module, module.places[place]) for module in modules for place in sorted(module.places)]
    chance.shuffle(every)
    drawn = 0
    for module, variants in every:
        if drawn == count:
            return
        chance.shuffle(variants)
        if made := next((one for variant in variants if (one := mutant(module, variant))), None):
            drawn += 1
            yield made
