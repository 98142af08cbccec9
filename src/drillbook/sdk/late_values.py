"""Support for parameters that get their values from an earlier step.

Contains the error for a value that is read too early, and a validator for the value of one field.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter


class NotKnownYet(LookupError):
    """Raised when a parameter is read before the earlier step that supplies its value has run."""

    hint = "write the value itself into the drill: a check before the drill needs it"


@cache
def validator_of(cls: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Return a validator for the field ``name`` of the model ``cls``."""
    info = cls.model_fields[name]
    kind: Any = info.annotation
    return TypeAdapter(Annotated[(kind, *info.metadata)] if info.metadata else kind)
