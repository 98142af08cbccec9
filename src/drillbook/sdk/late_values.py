"""Support for parameters that get their values from an earlier step.

Contains the error for a value that is read too early, and a validator for the value of one field.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError


class NotKnownYet(LookupError):
    """Raised when a parameter is read before the earlier step that supplies its value has run."""

    hint = "write the value itself into the drill: a check before the drill needs it"


def validated_field(cls: type[BaseModel], name: str, value: Any) -> Any:
    """Validate ``value`` for the field ``name`` of the model ``cls``, and return the value that the field would have. Raises
    ValidationError when ``value`` is invalid. The location in the error begins with the key of the field.
    """
    try:
        return _validator(cls, name).validate_python(value)
    except ValidationError as error:
        key = cls.model_fields[name].alias or name
        details: list[Any] = [
            {**{part: detail[part] for part in ("type", "input", "ctx") if part in detail}, "loc": (key, *detail["loc"])}
            for detail in error.errors()
        ]
        raise ValidationError.from_exception_data(error.title, details) from None


@cache
def _validator(cls: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Return a validator for the field ``name`` of the model ``cls``."""
    info = cls.model_fields[name]
    kind: Any = info.annotation
    return TypeAdapter(Annotated[(kind, *info.metadata)] if info.metadata else kind)
