"""Look-up of actions by name: the names are computed once for each class, and again when systems are added or removed."""

import pytest

from drillbook.errors import UnknownName
from drillbook.sdk import discovery
from drillbook.sdk.action import Action, Write, find
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


def test_a_restore_from_a_log_is_an_action_of_the_system_that_declares_it():
    declared = {system.name: system.log_restore for system in discovery.systems() if system.log_restore}
    assert declared == {"postgres": "postgres.recover"}
    for action in declared.values():
        assert issubclass(find(action), Write)
        assert discovery.log_restore(f"{action.partition('.')[0]}.restore") == action
    assert (discovery.log_restore("redis.restore"), discovery.log_restore("no_system.restore")) == ("", "")
