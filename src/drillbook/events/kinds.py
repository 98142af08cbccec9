"""All kinds of events by name, and reading the content of one."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from drillbook.events import holds, probes, runs, steps
from drillbook.events.content import Content, Unknown

KINDS = MappingProxyType(
    {
        found.KIND: found
        for module in (runs, steps, probes, holds)
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Content) and found.__module__ == module.__name__ and found.KIND
    }
)
"""Every kind that this version knows, in the order of the pages."""


def parse(kind: str, data: dict[str, Any]) -> Content:
    """The content of an event, as its model or as `Unknown`. Raises ValueError that names the field of a wrong type."""
    model = KINDS.get(kind)
    if model is None:
        return Unknown(name=kind, content=data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{kind}: {field}: {first['msg']}") from None
