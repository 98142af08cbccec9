"""All kinds of events by name, and the function that parses the content of an event."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from drillbook.events import campaigns, holds, probes, runs, steps
from drillbook.events.content import Content, Unknown

KINDS = MappingProxyType(
    {
        var.KIND: var
        for module in (runs, steps, probes, holds, campaigns)
        for var in vars(module).values()
        if isinstance(var, type) and issubclass(var, Content) and var.__module__ == module.__name__ and var.KIND
    }
)
"""All kinds of events of this version of Drillbook, in the order of `docs/journal.md`."""


def parse(kind: str, data: dict[str, Any]) -> Content:
    """Return the content of an event as its model, or as `Unknown`.

    Raises ValueError when a field is invalid. The message names the field.
    """
    model = KINDS.get(kind)
    if model is None:
        return Unknown(name=kind, content=data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{kind}: {field}: {first['msg']}") from None
