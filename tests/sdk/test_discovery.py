"""Look-up of actions by name: the names are computed once for each class, and again when systems are added or removed."""

import pytest

from drillbook.errors import UnknownName
from drillbook.sdk import discovery
from drillbook.sdk.action import Action, find
from drillbook.sdk.discovery import System, registered


def test_an_action_that_was_found_is_found_again_without_making_names(monkeypatch):
    found = find("command.run")
    made = []
    monkeypatch.setattr(discovery, "name_of", made.append)
    assert find("command.run") is found
    assert made == []


def test_an_unknown_name_of_a_known_family_is_an_error_each_time():
    for _ in range(2):
        with pytest.raises(UnknownName, match=r"there is no action 'command\.rum'"):
            find("command.rum")


def test_an_action_is_known_only_while_its_system_is():
    with registered(System("tests.machine", actions={"pretended": ".pretend"})):
        names = [name for name in discovery.known_names(Action) if name.startswith("pretended.")]
        assert names
        assert find(names[0]).name() == names[0]
    with pytest.raises(UnknownName):
        find(names[0])
