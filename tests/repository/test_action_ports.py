"""Ports that the code of actions opens: the page of needs tells them for each action."""

import inspect
import re

import pytest

from drillbook.sdk import host_needs
from drillbook.sdk.action import Place, find, known_names

OPENED = {
    r"\bstore_of\(|\bStore\(|\bctx\.bucket\(": ("store",),
    r"\bsource_of\(": ("bucket", "URL"),
    r"\bconnected\(|\bconnect\(": ("port",),
}
"""Calls in the code of an action, each with the words that its ports must contain."""
OTHERWISE = {
    "docker.connect": "its own function `connect` calls the engine of the host",
    "diagnosis.finds": "the actions of its tree tell their ports",
    "manual.confirm": "a person answers at the terminal",
}
"""Actions without ports, each with the reason."""


def code(name):
    """Source of the class of an action, with its bases in the systems."""
    classes = [one for one in find(name).__mro__ if one.__module__.startswith("drillbook.systems")]
    return "".join(map(inspect.getsource, classes))


def ports(name):
    needs = host_needs.of(name)
    return needs.ports if needs else ""


@pytest.mark.parametrize("name", sorted(known_names() - OTHERWISE.keys()))
def test_what_an_action_opens_is_told(name):
    wanted = [word for call, words in OPENED.items() if re.search(call, code(name)) for word in words]
    assert [word for word in wanted if word not in ports(name)] == []


@pytest.mark.parametrize(
    "name", sorted(name for name in known_names() - OTHERWISE.keys() if find(name).PLACE is Place.CONTROLLER)
)
def test_an_action_of_the_controller_tells_where_it_connects_to(name):
    assert ports(name)


def test_the_calls_are_found_in_the_code():
    assert all(any(re.search(call, code(name)) for name in known_names()) for call in OPENED)


def test_no_reason_is_given_for_an_action_with_ports():
    assert [name for name in OTHERWISE if ports(name)] == []
