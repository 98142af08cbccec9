"""Parameters whose values come from an earlier step: the error for a value read too early, and a validator of one field."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter


class NotKnownYet(LookupError):
    """Raised when a parameter is read before the step that supplies its value has run."""

    hint = "write a literal value in the drill: the check before the drill needs this value"


@cache
def validator_of(cls: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Return a validator for the field ``name`` of the model ``cls``."""
    info = cls.model_fields[name]
    kind: Any = info.annotation
    return TypeAdapter(Annotated[(kind, *info.metadata)] if info.metadata else kind)
