"""Services of an inventory as values of the model of their kind; models are loaded for the kinds that are there."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from drillbook.errors import UnknownName
from drillbook.sdk import discovery
from drillbook.sdk.discovery import service_class, service_kinds
from drillbook.sdk.service import Service
from drillbook.values import Secret


class OfItsKind:
    """Annotation of a field: a service is validated by the model that its key `kind` names."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(_validated, serialization=core_schema.simple_ser_schema("any"))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        union: Any = reduce(or_, cls.models())
        return handler(TypeAdapter(Annotated[union, Field(discriminator="kind")]).core_schema)

    @staticmethod
    def models() -> list[type[Service]]:
        """Models of all kinds, for explanations of what is wrong in a file."""
        return [service_class(kind) for kind in service_kinds()]


JOURNAL = {"journal": True}
"""Context of a validation that reads a journal: services of kinds that are not known here are kept as they are."""


class Unknown(Service):
    """A service of a kind whose plugin is not here, as a journal holds it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Secret | Any, Field(union_mode="left_to_right")]]

    kind: str


def _validated(value: Any, info: core_schema.ValidationInfo) -> Service:
    if isinstance(value, Service):
        return value
    if not isinstance(value, dict):
        raise PydanticKnownError("model_attributes_type")
    if "kind" not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    try:
        model = service_class(str(value["kind"]))
    except UnknownName:
        if info.context == JOURNAL:
            return Unknown.model_validate(value)
        raise PydanticCustomError(
            "union_tag_invalid",
            "there is no kind of service '{tag}'",
            {"tag": str(value["kind"]), "hint": discovery.hint()},
        ) from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [_below(value["kind"], detail) for detail in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(error.title, lines) from None


def _below(kind: str, detail: Any) -> Any:
    """A problem with the kind in its place, as a union that is discriminated by it tells it."""
    kept = {key: detail[key] for key in ("type", "input", "ctx") if key in detail}
    return {**kept, "loc": (kind, *detail["loc"])}
