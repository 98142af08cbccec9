"""Values of expressions in a runbook. A value that the inventory contains is filled in. A value that is known only during a
run, such as the result of a step, is described in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from drillbook.language import template
from drillbook.plan.plan import Plan
from drillbook.values import SecretName

_EXPRESSION = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
OF_RUN = {"id": "<name of the run>", "started": "<begin of the run>", "operator": "<who runs the drill>"}


class NotKnown(Exception):
    """Raised when an expression computes something with a value that is known only during a run."""


class Later:
    """Placeholder for a value in the result of a step. A runbook is made before the step runs, so the value is not known.

    The placeholder can only become a text, such as ``<pid of inject.1>``. Comparing it, looping over it or using it as a
    number raises NotKnown, because any value would be invented.
    """

    __slots__ = ("_path", "_step")

    def __init__(self, step: str, path: tuple[str, ...] = ()) -> None:
        """Make an object that stands for the part ``path`` of the result of ``step``."""
        self._step, self._path = step, path

    def __getattr__(self, name: str) -> Later:
        """Return an object that stands for the attribute ``name`` of the later result."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Later(self._step, (*self._path, name))

    def __getitem__(self, key: object) -> Later:
        """Return an object that stands for the part ``key`` of the result."""
        return Later(self._step, (*self._path, str(key)))

    def __str__(self) -> str:
        """Return a text such as ``<pid of inject.1>``: the key of the value in the step's result, and the id of the step."""
        return f"<{'.'.join(self._path) or 'result'} of {self._step}>"

    def _refuse(self, *_: object) -> Any:
        raise NotKnown

    __iter__ = __len__ = __contains__ = __bool__ = __int__ = __float__ = __index__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse


def _references(plan: Plan) -> Iterator[template.Reference]:
    """Yield the references in all expressions of the steps."""
    for step in plan.steps:
        for text in filter(template.is_template, template.texts(step.params)):
            yield from template.references(text)
        for text in (step.when or "true", *step.expect):
            yield from template.references(text, bare=True)


class Values:
    """Values of the expressions of one plan."""

    def __init__(self, plan: Plan) -> None:
        """Collect the names that expressions of ``plan`` may use."""
        self._steps = {step.save: step.id for step in plan.steps if step.save}
        self._names: dict[str, Any] = {**plan.names(OF_RUN), **{name: Later(step) for name, step in self._steps.items()}}
        self._used = tuple(_references(plan))

    def used_of(self, name: str) -> list[tuple[str, str]]:
        """Return the values that other steps take from the result ``name``. Each is a pair: the expression, such as
        ``found.pid``, and its text for people, such as ``<pid of inject.1>``.
        """
        parts = sorted({tuple(path) for first, *path in self._used if first == name})
        return [(".".join((name, *path)), str(Later(self._steps[name], path))) for path in parts]

    def of(self, value: Any) -> Any:
        """Return ``value`` with each expression in its texts replaced. An expression is replaced by its value, or by a
        description if the value is known only during a run."""
        if isinstance(value, Mapping):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item) for item in value]
        if not isinstance(value, str):
            return value
        if (whole := _EXPRESSION.fullmatch(value.strip())) and not isinstance(known := self._value(whole[1]), str):
            return known
        return _EXPRESSION.sub(lambda match: str(self._value(match[1])), value)

    def _value(self, expression: str) -> Any:
        """Return the value of an expression. If the value is known only during a run, return a description of it instead."""
        try:
            value = template.expression(expression, self._names)
        except (ValueError, NotKnown):
            return f"<computed: {expression}>"
        if isinstance(value, SecretName):
            return f"<the secret {value.place}>"
        return str(value) if isinstance(value, Later) else value
