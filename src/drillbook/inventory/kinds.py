"""Validates each service of an inventory with the model of its kind. Only the models of the kinds in the inventory are
loaded.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from drillbook.errors import UnknownName
from drillbook.sdk import discovery
from drillbook.sdk.discovery import service_class, service_kinds
from drillbook.sdk.service import Service
from drillbook.values import Secret


class OfItsKind:
    """Annotation of a field. It makes pydantic validate a service with the model of its `kind`."""

    SOURCES: ClassVar[bool] = False
    """True when the field holds backup sources, and False when it holds services. The documentation of the field lists
    their kinds.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._validated, serialization=core_schema.simple_ser_schema("any")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        union: Any = reduce(or_, cls.models())
        return handler(TypeAdapter(Annotated[union, Field(discriminator="kind")]).core_schema)

    @classmethod
    def models(cls) -> list[type[Service]]:
        """Return the models of all kinds of services, or of all kinds of backup sources. Explanations of validation
        errors use these models.
        """
        from drillbook.sdk.backup_source import BackupSource  # noqa: PLC0415  keeps start-up fast

        models = [service_class(kind) for kind in service_kinds()]
        return [model for model in models if issubclass(model, BackupSource) is cls.SOURCES]

    @classmethod
    def _validated(cls, value: Any, info: core_schema.ValidationInfo) -> Service:
        return _validated(value, info)


class SourceOfItsKind(OfItsKind):
    """Annotation of a field. It makes pydantic validate a backup source with the model of its `kind`."""

    SOURCES = True

    @classmethod
    def _validated(cls, value: Any, info: core_schema.ValidationInfo) -> Service:
        from drillbook.sdk.backup_source import BackupSource  # noqa: PLC0415  keeps start-up fast

        source = _validated(value, info)
        if not isinstance(source, BackupSource):
            kinds = ", ".join(str(model.model_fields["kind"].default) for model in cls.models())
            raise PydanticCustomError(
                "kind_of_service",
                "{tag} is a kind of service, but here a kind of backup is needed; kinds of backups: {kinds}",
                {"tag": repr(discovery.kind_default(type(source))), "kinds": kinds},
            )
        return source


JOURNAL = {"journal": True}
"""Validation context for a plan from a journal. With this context, services of unknown kinds are accepted and stay
unchanged.
"""


class Unknown(Service):
    """Service of a journal whose kind is unknown on this machine. Such a kind belongs to a plugin that is not
    installed.
    """

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
    """Put ``kind`` at the beginning of the location of a validation error, as pydantic does for a discriminated union."""
    kept = {key: detail[key] for key in ("type", "input", "ctx") if key in detail}
    return {**kept, "loc": (kind, *detail["loc"])}
