"""Expressions that cannot grow or go on without bound: whatever a file of a project asks for, an answer comes at once.

An operator, a filter or a method that would make more than ``MOST`` of anything is refused before it begins, and all of it
ends after ``SECONDS``. Of Jinja's statements there are `if` and `for`: with the others, a value grows with every line.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MOST = 4 << 20
"""Characters, or things, that a value may have; a target's output of 1 MiB may be looked through and put together."""
ROUNDS = 100_000
"""How often all `for` of a text go round together, and what makes one thing of each other."""
BITS = 1 << 16
"""Size of a whole number."""
SECONDS = 5.0
_STATEMENTS = (nodes.Output, nodes.If, nodes.For)
_WIDE = re.compile(r"%[^%a-zA-Z]*(\*|\d{5,})|\{[^{}]*(:[^{}]*\d{5,}|\{)")
_WIDENED = ("center", "ljust", "rjust", "zfill", "batch", "slice", "round", "to_bytes")
_LINED = ("indent", "expandtabs", "tojson")
_SPREAD = ("translate", "wordwrap", "urlize", "xmlattr")
_GO_ROUND = "rounds of a for"
_ENDS: ContextVar[float] = ContextVar("ends", default=float("inf"))
_LEFT: ContextVar[list[int]] = ContextVar("left")


class TooLarge(SecurityError):
    """An expression would give, or take, more than it may."""


def large(what: str) -> TooLarge:
    """The refusal of ``what``."""
    return TooLarge(f"{what} makes more than an expression may: {MOST} characters or things")


@contextmanager
def limited() -> Iterator[None]:
    """What is evaluated meanwhile ends after ``SECONDS`` at its next step, and after ``ROUNDS``."""
    ends, left = _ENDS.set(time.monotonic() + SECONDS), _LEFT.set([ROUNDS])
    try:
        yield
    finally:
        _ENDS.reset(ends)
        _LEFT.reset(left)


def rendered(template: Template, names: Mapping[str, Any]) -> str:
    """The text that a template gives. Raises TooLarge."""
    pieces, left = [], MOST
    for piece in template.generate(names):
        left -= len(piece)
        if left < 0:
            raise large("the text")
        _in_time()
        pieces.append(piece)
    return "".join(pieces)


def _in_time() -> None:
    if time.monotonic() > _ENDS.get():
        raise TooLarge(f"it takes longer than an expression may: {SECONDS:g} s")


def size(value: object) -> int:
    """How much ``value`` is when it is written out, at least; beyond ``MOST`` it is not looked at further."""
    total, waiting = 0, [value]
    while waiting and total <= MOST:
        one = waiting.pop()
        total += 1
        if isinstance(one, str | bytes | bytearray):
            total += len(one)
        elif isinstance(one, int):
            total += one.bit_length() // 3
        elif isinstance(one, Mapping):
            waiting += [*islice(one.keys(), MOST), *islice(one.values(), MOST)]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += islice(one, MOST)
    return total


def _operator(name: str, left: Any, right: Any) -> bool:
    """Does the operator make too much of these?"""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length(), right.bit_length()
        return (bits[0] * max(0, right) if name == "**" else sum(bits)) > BITS
    if name == "*":
        count, other = (left, right) if isinstance(left, int) else (right, left)
        return isinstance(count, int) and isinstance(other, Sequence) and size(other) * max(0, count) > MOST
    if name == "%" and isinstance(left, str) and _WIDE.search(left):
        return True
    return size(left) + size(right) > MOST


def _between(glue: object, parts: object) -> int:
    """How much it is to put ``glue`` between ``parts``."""
    return size(parts) + len(str(glue)) * (len(parts) if isinstance(parts, Sequence | Mapping) else 1)


def _numbers(given: Sequence[Any]) -> int:
    return sum(abs(one) for one in given if isinstance(one, int))


def _texts(given: Sequence[Any]) -> int:
    return sum(size(one) for one in given if not isinstance(one, int))


def _made(name: str, value: Any, given: Sequence[Any], *, method: bool) -> int:
    """How much a filter or method makes of ``value``, at most."""
    if name == "replace" and isinstance(value, str) and len(given) > 1:
        return len(value) + value.count(str(given[0])) * len(str(given[1]))
    if name == "join":
        return _between(value, given[0] if given else "") if method else _between(given[0] if given else "", value)
    if name in _LINED:
        lines = value.count("\n") + value.count("\t") + 1 if isinstance(value, str) else size(value)
        return size(value) + lines * (_numbers(given) + _texts(given))
    if name in _SPREAD:
        return size(value) * (1 + _texts(given))
    return size(value) + _texts(given) + (_numbers(given) if name in _WIDENED else 0)


def _check(name: str, value: Any, given: Sequence[Any], *, method: bool) -> None:
    """Raise TooLarge when a filter or method would make too much."""
    _in_time()
    wide = name in ("format", "format_map") and isinstance(value, str) and _WIDE.search(value)
    if wide or _made(name, value, given, method=method) > MOST:
        raise large(f"`{name}`")


def _whole(name: str, value: Any) -> Any:
    """``value``, of which there is not too much; what comes one by one is gathered."""
    if not isinstance(value, str | bytes | Mapping | Sequence | Undefined) and isinstance(value, Iterable):
        value = list(islice(value, ROUNDS + 1))
        if len(value) > ROUNDS:
            raise large(f"`{name}`")
    if size(value) > MOST:
        raise large(f"`{name}`")
    return value


def _limited(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja's within the budget; some are given the context before the value."""
    before = 1 if getattr(filter_, "jinja_pass_arg", None) else 0

    @wraps(filter_)
    def within(*given: Any, **named: Any) -> Any:
        value = _whole(name, given[before])
        rest = given[before + 1 :]
        _check(name, value, [*rest, *named.values()], method=False)
        return _whole(name, filter_(*given[:before], value, *rest, **named))

    return within


def _rounds(values: Iterable[Any]) -> Iterator[Any]:
    """What a `for` goes through, as long as there are rounds left for this text."""
    left = _LEFT.get()
    for one in values:
        left[0] -= 1
        if left[0] < 0:
            raise TooLarge(f"`for` goes round at most {ROUNDS} times")
        _in_time()
        yield one


def check(tree: nodes.Template) -> None:
    """Raise TemplateSyntaxError for a statement that no drill needs."""
    for node in tree.find_all(nodes.Stmt):
        recursive = isinstance(node, nodes.For) and node.recursive
        if recursive or not isinstance(node, _STATEMENTS):
            said = "`recursive`" if recursive else f"the statement `{type(node).__name__.lower()}`"
            raise TemplateSyntaxError(f"{said} is not possible here: there are `if` and `for`", node.lineno)


class _Rewrite(NodeTransformer):
    """Puts what Jinja does by itself in terms of what has a budget."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  Jinja's name
        """`a ~ b` adds two texts."""
        self.generic_visit(node)
        first, *rest = (nodes.Filter(one, "string", [], [], None, None, lineno=node.lineno) for one in node.nodes)
        sum_: nodes.Expr = first
        for one in rest:
            sum_ = nodes.Add(sum_, one, lineno=node.lineno)
        return sum_

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  Jinja's name
        """A `for` goes through a list that has an end."""
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _GO_ROUND, [], [], None, None, lineno=node.lineno)
        return node


class Budgeted(ImmutableSandboxedEnvironment):
    """A sandbox in which nothing grows beyond its budget."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        """No globals; undefined names are errors. Nothing is worked out before its budget counts."""
        super().__init__(undefined=StrictUndefined, autoescape=False, optimized=False)
        self.globals.clear()
        self.filters = {name: _limited(name, one) for name, one in self.filters.items()} | {_GO_ROUND: _rounds}

    def _generate(self, source: nodes.Template, *more: Any, **named: Any) -> str:
        body = source.body
        if not (len(body) == 1 and isinstance(body[0], nodes.Assign)):  # how Jinja evaluates a bare expression
            check(source)
        return super()._generate(_Rewrite().visit(source).set_environment(self), *more, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Raise TooLarge in place of a value beyond the budget."""
        _in_time()
        if _operator(operator, left, right):
            raise large(f"`{operator}`")
        return super().call_binop(context, operator, left, right)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Raise TooLarge in place of a value beyond the budget."""
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        name = str(getattr(__obj, "__name__", "call"))
        _check(name, owner, [*args, *kwargs.values()], method=True)
        return _whole(name, super().call(__context, __obj, *args, **kwargs))
