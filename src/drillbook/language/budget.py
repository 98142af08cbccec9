"""Budgets for template expressions, so that no expression in the files of a project can exhaust memory or time.

An operator, filter or method is refused before it runs if its result would be larger than ``MOST``. Evaluation stops
after ``SECONDS``. Only the Jinja statements `if` and `for` are allowed, because other statements could double a value
with every line.
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
"""Largest permitted size of a value, in characters or items. It is large enough to search 1 MiB of a target's output."""
ROUNDS = 100_000
"""Maximum number of loop iterations during the evaluation of one text, and maximum number of items taken from one
iterator.
"""
BITS = 1 << 16
"""Largest permitted size of an integer, in bits."""
SECONDS = 5.0
_STATEMENTS = (nodes.Output, nodes.If, nodes.For)
_WIDE = re.compile(r"%[^%a-zA-Z]*(\*|\d{5,})|\{[^{}]*(:[^{}]*\d{5,}|\{)")
_WIDENED = ("center", "ljust", "rjust", "zfill", "batch", "slice", "round", "to_bytes")
_LINED = ("indent", "expandtabs", "tojson")
_SPREAD = ("translate", "wordwrap", "urlize", "xmlattr")
_GO_ROUND = "iterations of a for"
_ENDS: ContextVar[float] = ContextVar("ends", default=float("inf"))
_LEFT: ContextVar[list[int]] = ContextVar("left")


class TooLarge(SecurityError):
    """Raised when an expression exceeds its budget."""


def large(what: str) -> TooLarge:
    """Return the error for a value that exceeds the budget. ``what``: name of the value in the message."""
    return TooLarge(f"{what} exceeds the limit for expressions: {MOST} characters or items")


@contextmanager
def limited() -> Iterator[None]:
    """Within the `with` block, limit evaluation to ``SECONDS`` and to ``ROUNDS`` loop iterations."""
    ends, left = _ENDS.set(time.monotonic() + SECONDS), _LEFT.set([ROUNDS])
    try:
        yield
    finally:
        _ENDS.reset(ends)
        _LEFT.reset(left)


def rendered(template: Template, names: Mapping[str, Any]) -> str:
    """Render a template. Raises TooLarge when the text exceeds the budget."""
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
        raise TooLarge(f"the evaluation of an expression took longer than the time limit of {SECONDS:g} s")


def size(value: object) -> int:
    """Estimate the size of ``value``: the number of characters and items in it and in the values nested in it.

    Counting stops as soon as the number exceeds ``MOST``. The digits of an integer count as characters.
    """
    total, waiting = 0, [value]
    while waiting and total <= MOST:
        part = waiting.pop()
        total += 1
        if isinstance(part, str | bytes | bytearray):
            total += len(part)
        elif isinstance(part, int):
            total += part.bit_length() // 3
        elif isinstance(part, Mapping):
            waiting += [*islice(part.keys(), MOST), *islice(part.values(), MOST)]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += islice(part, MOST)
    return total


def _operator(name: str, left: Any, right: Any) -> bool:
    """Return True when the result of an operator would exceed the budget."""
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
    """Estimate the size of the text that results from joining ``parts`` with the separator ``glue``."""
    return size(parts) + len(str(glue)) * (len(parts) if isinstance(parts, Sequence | Mapping) else 1)


def _numbers(given: Sequence[Any]) -> int:
    return sum(abs(argument) for argument in given if isinstance(argument, int))


def _texts(given: Sequence[Any]) -> int:
    return sum(size(argument) for argument in given if not isinstance(argument, int))


def _made(name: str, value: Any, given: Sequence[Any], *, method: bool) -> int:
    """Estimate the largest possible size of the result when the filter or method ``name`` is applied to ``value``."""
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
    """Raise TooLarge when the result of a filter or method would exceed the budget, or when the evaluation has taken
    too long.
    """
    _in_time()
    wide = name in ("format", "format_map") and isinstance(value, str) and _WIDE.search(value)
    if wide or _made(name, value, given, method=method) > MOST:
        raise large(f"`{name}`")


def _whole(name: str, value: Any) -> Any:
    """Return ``value``. If ``value`` is an iterator, return a list of its items. Raises TooLarge when the result
    exceeds the budget.
    """
    if not isinstance(value, str | bytes | Mapping | Sequence | Undefined) and isinstance(value, Iterable):
        value = list(islice(value, ROUNDS + 1))
        if len(value) > ROUNDS:
            raise large(f"`{name}`")
    if size(value) > MOST:
        raise large(f"`{name}`")
    return value


def _limited(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a Jinja filter in budget checks. For some filters, the first argument is not the value, but an object of Jinja,
    such as the context of the template.
    """
    before = 1 if getattr(filter_, "jinja_pass_arg", None) else 0

    @wraps(filter_)
    def within(*given: Any, **named: Any) -> Any:
        value = _whole(name, given[before])
        rest = given[before + 1 :]
        _check(name, value, [*rest, *named.values()], method=False)
        return _whole(name, filter_(*given[:before], value, *rest, **named))

    return within


def _rounds(values: Iterable[Any]) -> Iterator[Any]:
    """Yield ``values`` to a `for` loop and count the iterations. Raises TooLarge when all loops of this evaluation together
    have more than ``ROUNDS`` iterations.
    """
    left = _LEFT.get()
    for each in values:
        left[0] -= 1
        if left[0] < 0:
            raise TooLarge(f"all `for` loops of one evaluation together may have at most {ROUNDS} iterations")
        _in_time()
        yield each


def check(tree: nodes.Template) -> None:
    """Raise TemplateSyntaxError for every statement except `if` and `for`. A recursive `for` is refused too."""
    for node in tree.find_all(nodes.Stmt):
        recursive = isinstance(node, nodes.For) and node.recursive
        if recursive or not isinstance(node, _STATEMENTS):
            said = "`recursive`" if recursive else f"the statement `{type(node).__name__.lower()}`"
            raise TemplateSyntaxError(
                f"{said} is not supported here; the only supported statements are `if` and `for`", node.lineno
            )


class _Rewrite(NodeTransformer):
    """Rewrites syntax that Jinja would evaluate without a budget. The rewritten syntax uses operators and filters, because the
    sandbox checks the budget of each operator and filter.
    """

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  Jinja's name
        """Rewrite `a ~ b` as an addition of two strings."""
        self.generic_visit(node)
        first, *rest = (nodes.Filter(operand, "string", [], [], None, None, lineno=node.lineno) for operand in node.nodes)
        sum_: nodes.Expr = first
        for text in rest:
            sum_ = nodes.Add(sum_, text, lineno=node.lineno)
        return sum_

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  Jinja's name
        """Pass the values of the loop through the filter that counts iterations."""
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, _GO_ROUND, [], [], None, None, lineno=node.lineno)
        return node


class Budgeted(ImmutableSandboxedEnvironment):
    """Jinja sandbox that refuses results larger than the budget."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        """Set up the sandbox: there are no globals, undefined names are errors, and every filter has a budget.

        Normally Jinja evaluates constant expressions when it compiles a template. This is switched off, because no
        budget applies during compilation.
        """
        super().__init__(undefined=StrictUndefined, autoescape=False, optimized=False)
        self.globals.clear()
        self.filters = {name: _limited(name, filter_) for name, filter_ in self.filters.items()} | {_GO_ROUND: _rounds}

    def _generate(self, source: nodes.Template, *more: Any, **named: Any) -> str:
        body = source.body
        if not (
            len(body) == 1 and isinstance(body[0], nodes.Assign)
        ):  # Jinja puts a bare expression into such an assignment
            check(source)
        return super()._generate(_Rewrite().visit(source).set_environment(self), *more, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator. Raises TooLarge when the result would exceed the budget."""
        _in_time()
        if _operator(operator, left, right):
            raise large(f"`{operator}`")
        return super().call_binop(context, operator, left, right)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method. Raises TooLarge when the result would exceed the budget."""
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        name = str(getattr(__obj, "__name__", "call"))
        _check(name, owner, [*args, *kwargs.values()], method=True)
        return _whole(name, super().call(__context, __obj, *args, **kwargs))
