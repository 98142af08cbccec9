"""Jinja expressions ``{{ }}`` in drills.

Expressions are evaluated in a sandbox. Undefined names are errors. Names are checked before the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes

from drillbook.language import budget
from drillbook.language.strict import did_you_mean


class OverBudget(ValueError):
    """Raised when an expression exceeds its budget."""


Reference = tuple[str, ...]
"""A name with the attributes that follow it in an expression, such as ``("services", "api", "url")``."""

_WHOLE = re.compile(r"\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
_LENGTH_LIMIT = 10_000


ENVIRONMENT = budget.Budgeted()
_WRONG = (TemplateError, ArithmeticError, TypeError, LookupError, RecursionError)


def is_template(value: object) -> bool:
    """Return True for a text that contains an expression or a statement."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def texts(value: object) -> Iterator[str]:
    """Return all texts in ``value`` and in the values nested in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from texts(inner)


def has_template(value: object) -> bool:
    """Return True when ``value``, or a value nested in it, contains a template."""
    if isinstance(value, Mapping):
        return any(has_template(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_template(item) for item in value)
    return is_template(value)


def evaluate(value: Any, names: Mapping[str, Any]) -> Any:
    """Evaluate every expression in ``value``. Raises ValueError when an expression cannot be evaluated.

    A text that is a single expression becomes the value of this expression, such as a number or a list. Any other text stays
    a text.
    """
    if isinstance(value, Mapping):
        return {key: evaluate(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [evaluate(item, names) for item in value]
    if not is_template(value):
        return value
    try:
        if whole := _WHOLE.fullmatch(value):
            return expression(whole[1], names)
        with budget.limited():
            return budget.rendered(ENVIRONMENT.from_string(value), names)
    except _WRONG as error:
        raise _told(value, error) from None


def expression(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of one expression. It may be written with or without braces. Raises ValueError when the expression
    cannot be evaluated.
    """
    whole = _WHOLE.fullmatch(text)
    try:
        with budget.limited():
            result = ENVIRONMENT.compile_expression(whole[1] if whole else text, undefined_to_none=False)(dict(names))
        if isinstance(result, StrictUndefined):
            str(result)
    except _WRONG as error:
        raise _told(text, error) from None
    return result


def _told(text: str, error: Exception) -> ValueError:
    kind = OverBudget if isinstance(error, budget.TooLarge) else ValueError
    return kind(f"{text.strip()}: {error}")


def references(text: str, *, bare: bool = False) -> Iterator[Reference]:
    """Return the names to which the expressions in ``text`` refer, with their attributes. Raises ValueError when the
    syntax is wrong.

    ``bare``: True when ``text`` is an expression without braces.
    """
    if len(text) > _LENGTH_LIMIT:
        raise ValueError("the expression is too long")
    source = "{{" + text + "}}" if bare and not is_template(text) else text
    try:
        tree = ENVIRONMENT.parse(source)
        budget.check(tree)
    except (TemplateSyntaxError, RecursionError) as error:
        raise ValueError(f"{text.strip()}: {error}") from None
    _known_filters(text, tree)
    local = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    inner: set[int] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Name)):
        if id(node) in inner:
            continue
        chain = _chain(node, inner)
        if chain and chain[0] not in local:
            yield chain


def _known_filters(text: str, tree: nodes.Template) -> None:
    known_here = {"filter": "default, join, length, lower, round", "test": "defined, in, none, number"}
    for used in tree.find_all((nodes.Filter, nodes.Test)):
        what, known = ("filter", ENVIRONMENT.filters) if isinstance(used, nodes.Filter) else ("test", ENVIRONMENT.tests)
        if used.name not in known:
            near = did_you_mean(used.name, known)
            hint = near.strip() or f"such as {known_here[what]}"
            raise ValueError(f"{text.strip()}: there is no {what} {used.name!r}; {hint}")


def _chain(node: nodes.Node, inner: set[int]) -> Reference:
    parts: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            parts.append(node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            parts.append(node.arg.value)
        else:
            parts.clear()
        inner.add(id(node.node))
        node = node.node
    if not isinstance(node, nodes.Name):
        return ()
    return (node.name, *reversed(parts))
