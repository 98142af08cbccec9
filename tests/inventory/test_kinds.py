"""Services of an inventory, each validated with the model of its kind."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from drillbook.inventory.kinds import JOURNAL, OfItsKind, SourceOfItsKind, Unknown
from drillbook.sdk.service import Service
from drillbook.systems.files.service import Folder
from drillbook.systems.tar.source import TarSource
from drillbook.values import Secret

FOLDER = {"kind": "folder", "host": "h", "path": "/srv"}


class Holder(BaseModel):
    service: Annotated[Service, OfItsKind]


class SourceHolder(BaseModel):
    source: Annotated[Service, SourceOfItsKind]


def problems(model, value, **more):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value, **more)
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors(include_url=False)]


def test_a_service_gets_the_model_of_its_kind():
    made = Holder.model_validate({"service": FOLDER}).service
    assert (type(made), made.path) == (Folder, "/srv")
    assert Holder.model_validate({"service": made}).service is made


def test_a_mistake_is_located_below_the_kind():
    (problem,) = problems(Holder, {"service": {**FOLDER, "pth": "/"}})
    assert problem[:2] == ("extra_forbidden", ("service", "folder", "pth"))


@pytest.mark.parametrize(
    ("value", "kind_of_error", "message"),
    [
        ({"kind": "foldr", "host": "h"}, "union_tag_invalid", "there is no kind of service 'foldr'"),
        ({"host": "h"}, "union_tag_not_found", "Unable to extract tag using discriminator 'kind'"),
        ("folder", "model_attributes_type", "Input should be a valid dictionary or object to extract fields from"),
    ],
)
def test_a_value_without_a_known_kind_is_refused(value, kind_of_error, message):
    assert problems(Holder, {"service": value}) == [(kind_of_error, ("service",), message)]


def test_a_journal_may_have_a_service_of_an_unknown_kind():
    value = {"kind": "moon", "host": "h", "phase": 3, "password": {"source": "env", "name": "MOON"}}
    made = Holder.model_validate({"service": value}, context=JOURNAL).service
    assert isinstance(made, Unknown)
    assert made.model_extra == {"phase": 3, "password": Secret(source="env", name="MOON")}


def test_a_backup_source_is_no_other_service():
    value = {"kind": "tar", "service": "files", "host": "h", "at": "/backup"}
    assert type(SourceHolder.model_validate({"source": value}).source) is TarSource
    ((kind_of_error, place, message),) = problems(SourceHolder, {"source": FOLDER})
    assert (kind_of_error, place) == ("kind_of_service", ("source",))
    assert message.startswith("'folder' is a kind of service, but here a kind of backup is needed; kinds of backups: ")
    assert "tar" in message.partition("kinds of backups: ")[2].split(", ")


def test_the_models_of_services_and_of_backups_are_apart():
    services, sources = set(OfItsKind.models()), set(SourceOfItsKind.models())
    assert (Folder in services, TarSource in sources, services & sources) == (True, True, set())


def test_the_schema_tells_the_fields_of_every_kind():
    schema = SourceHolder.model_json_schema()
    kinds = schema["properties"]["source"]["discriminator"]["mapping"]
    assert kinds["tar"] == "#/$defs/TarSource"
    assert set(kinds) == {str(model.model_fields["kind"].default) for model in SourceOfItsKind.models()}
