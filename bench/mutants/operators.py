"""Operators in addition to those of cosmic-ray: they remove calls and guards, and drop operands and filters."""

from __future__ import annotations

import parso
from cosmic_ray.operators.operator import Operator
from parso.python.tree import Name, PythonNode

SWAPS = {"all": "any", "any": "all", "min": "max", "max": "min"}
TEXTS = {
    "hint",
    "wanted",
    "measured",
    "remedy",
    "title",
    "why",
    "by_hand",
    "message",
    "thread_name_prefix",
    "prefix",
    "encoding",
    "what",
    "name",
}
"""Keyword arguments with text for people."""


class SwapAllAny(Operator):
    """Replace ``all`` with ``any``, ``min`` with ``max``, and vice versa."""

    def mutation_positions(self, node):
        if isinstance(node, Name) and node.value in SWAPS and called(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        node.value = SWAPS[node.value]
        return node

    @classmethod
    def examples(cls):
        return ()


def called(node):
    after = node.get_next_sibling()
    return node.parent.type == "atom_expr" and after is not None and after.type == "trailer"


class DropCall(Operator):
    """Remove a statement that is a call, such as a flush to the disk or a check that raises."""

    def mutation_positions(self, node):
        if node.type == "simple_stmt" and is_call(node.children[0]):
            yield node.start_pos, node.children[0].end_pos

    def mutate(self, node, index):
        node.children[0] = passed(node.children[0])
        return node

    @classmethod
    def examples(cls):
        return ()


def is_call(node):
    """Return True for a call, and for an assignment in place such as ``found += more(x)``."""
    if node.type == "atom_expr":
        last = node.children[-1]
        return last.type == "trailer" and last.children[0].value == "("
    return node.type == "expr_stmt" and node.children[1].type == "operator" and len(node.children[1].value) == 2


class DropRaise(Operator):
    """Remove a refusal."""

    def mutation_positions(self, node):
        if node.type == "simple_stmt" and (node.children[0].type == "raise_stmt" or node.children[0] == "raise"):
            yield node.start_pos, node.children[0].end_pos

    def mutate(self, node, index):
        node.children[0] = passed(node.children[0])
        return node

    @classmethod
    def examples(cls):
        return ()


def passed(node):
    """``pass`` in place of ``node``."""
    return parso.parse(f"{node.get_first_leaf().prefix}pass").children[0]


class Condition(Operator):
    """Replace a condition by false (0) or true (1)."""

    def mutation_positions(self, node):
        if node.type == "if_stmt":
            yield from [
                (node.children[place].start_pos, node.children[place].end_pos)
                for place in conditions(node)
                for _ in range(2)
            ]

    def mutate(self, node, index):
        place = conditions(node)[index // 2]
        node.children[place] = parso.parse(f" {bool(index % 2)}")
        return node

    @classmethod
    def examples(cls):
        return ()


def conditions(node):
    return [at + 1 for at, child in enumerate(node.children) if child.type == "keyword" and child.value in ("if", "elif")]


class DropOperand(Operator):
    """Drop one operand of ``and`` or ``or``."""

    def mutation_positions(self, node):
        if node.type in ("and_test", "or_test"):
            yield from [(child.start_pos, child.end_pos) for child in node.children[::2]]

    def mutate(self, node, index):
        at = index * 2
        if at:
            del node.children[at - 1 : at + 1]
        else:
            prefix = node.get_first_leaf().prefix
            del node.children[0:2]
            node.get_first_leaf().prefix = prefix
        return node

    @classmethod
    def examples(cls):
        return ()


class Filter(Operator):
    """Drop (0) or negate (1) the condition of a comprehension."""

    def mutation_positions(self, node):
        if node.type == "comp_if":
            for _ in range(2):
                yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        node.children[1] = parso.parse(f" not ({node.children[1].get_code().strip()})" if index else " True")
        return node

    @classmethod
    def examples(cls):
        return ()


class DropKeyword(Operator):
    """Drop a keyword argument of a call."""

    def mutation_positions(self, node):
        yield from [(node.children[at].start_pos, node.children[at].end_pos) for at in keywords(node)]

    def mutate(self, node, index):
        at = keywords(node)[index]
        del node.children[max(0, at - 1) : at + 1]
        return node

    @classmethod
    def examples(cls):
        return ()


def keywords(node):
    if node.type != "arglist":
        return []
    return [
        at
        for at, child in enumerate(node.children)
        if at
        and isinstance(child, PythonNode)
        and child.type == "argument"
        and child.children[0].type == "name"
        and child.children[1] == "="
        and child.children[0].value not in TEXTS
    ]


class ReturnNone(Operator):
    """Return nothing."""

    def mutation_positions(self, node):
        if node.type == "return_stmt" and node.children[1].get_code().strip() not in ("None", "False"):
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node, index):
        node.children[1] = parso.parse(" None")
        return node

    @classmethod
    def examples(cls):
        return ()


OWN = {
    one.__name__: one for one in (SwapAllAny, DropCall, DropRaise, Condition, DropOperand, Filter, DropKeyword, ReturnNone)
}
