"""Unknown parameters have a separate state, which no action can mistake for a value."""

import inspect
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import drillbook
from drillbook.sdk.action import Effect, Fault, find, known_names
from drillbook.sdk.custom_step import Free
from drillbook.sdk.late_values import NotKnownYet
from drillbook.values import Duration

ACTIONS = [find(name) for name in known_names()]


def keys(kind):
    return {info.alias or name: name for name, info in kind.model_fields.items()}


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.name())
def test_what_is_not_known_cannot_be_read(kind):
    action = kind.with_unknown({}, keys(kind))
    for name in kind.model_fields:
        assert not action.known(name)
        assert action.if_known(name, "nothing") == "nothing"
        with pytest.raises(NotKnownYet, match=f"`{name}` of {kind.name()} has no value") as error:
            getattr(action, name)
        assert error.value.hint
    assert action.effect is (Effect.READ if issubclass(kind, Free) else kind.EFFECT)
    assert not isinstance(action, Fault) or action.restore_only == kind.RESTORE_ONLY
    assert repr(action) == f"{kind.__name__}()"


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.name())
def test_an_action_asks_for_fields_that_it_has(kind):
    asked = {
        name
        for cls in kind.__mro__
        if cls.__module__.startswith("drillbook.systems")
        for name in re.findall(r"self\.(?:if_)?known\(\"(\w+)\"", inspect.getsource(cls))
    }
    assert asked <= kind.model_fields.keys()


def test_no_system_looks_into_the_inside_of_a_model():
    for path in (Path(drillbook.__file__).parent / "systems").rglob("*.py"):
        assert not re.search(r"__dict__|model_construct|model_fields_set|__pydantic", path.read_text()), path


def test_what_is_known_is_as_it_will_be():
    kind = find("relay.delay")
    action = kind.with_unknown({"by": "50ms"}, {"service"})
    assert (action.by, type(action.by), action.known("by"), action.known("service")) == (0.05, Duration, True, False)
    assert kind.with_unknown({"by": "50ms", "service": "path"}, ()) == kind(by="50ms", service="path")
    with pytest.raises(ValidationError):
        kind.with_unknown({"by": "soon"}, {"service"})


def test_names_of_keys_are_those_of_the_file():
    kind = find("postgres.restore")
    action = kind.with_unknown({"service": "database"}, {"from"})
    assert (action.known("from_"), action.known("service")) == (False, True)
    with pytest.raises(AttributeError, match="has no field 'from'"):
        action.known("from")


def test_a_default_is_no_value_of_a_parameter_that_a_step_gives():
    kind = find("port.occupy")
    assert kind.with_unknown({}, {"address", "port"}).if_known("address") is None
    assert kind.with_unknown({}, {"port"}).address == "127.0.0.1"
