"""Services of a project's inventories: exempt only if all agree, with includes, and nothing unreadable is left out silently."""

import pytest

from drillbook.exits import Exit
from drillbook.plan.schedule import State
from drillbook.project import estate
from drillbook.project.project import Project
from tests.project.test_due import DAY, STAGING, inventory, read, states
from tests.project.test_due import shelf as shelf


def test_included_files_count_and_the_lab_of_a_project_does_not(shelf):
    inventory(shelf, "base", STAGING.replace("environment: staging\n", ""))
    inventory(shelf, "staging", "environment: staging\ninclude: base.yml\n")
    inventory(shelf, "lab", "environment: lab\nlab: embedded\nservices: {api: {kind: http, host: a, url: !lab api.url}}\n")
    assert states(shelf) == {("shop", "staging"): State.NEVER, ("cache", "staging"): State.NEVER}


def test_the_inventory_file_is_newer_than_the_newest_plan(shelf):
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=DAY)
    text = (shelf.root / "hosts.yml").read_text().replace("lab: embedded\n", "")
    inventory(shelf, "lab", text.replace("services: {", "services: {new: {kind: process, host: app-1}, "))
    assert states(shelf) == {("new", "lab"): State.NEVER, ("fresh", "lab"): State.OK}


def test_an_inventory_that_cannot_be_read_hides_nothing(shelf):
    inventory(shelf, "staging", "environment: staging\nservices: [\n")
    found = read(shelf)
    assert found.status == Exit.UNVERIFIED
    assert found.unread[0].startswith("inventory/staging.yml:3:1: ")
    assert found.as_data()["unread"] == list(found.unread)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_service_is_exempt_only_if_all_inventories_of_its_environment_say_so(shelf, names):
    inventory(shelf, names[0], STAGING.replace("cache: {", "cache: {not_drilled: rebuilt, "))
    inventory(shelf, names[1], STAGING)
    assert states(shelf) == {("shop", "staging"): State.NEVER, ("cache", "staging"): State.NEVER}
    inventory(shelf, names[1], STAGING.replace("cache: {", "cache: {not_drilled: rebuilt, "))
    assert states(shelf) == {("shop", "staging"): State.NEVER}


@pytest.mark.parametrize("line", ["environments: staging\n", "environment: [staging]\n", "environment:\n", ""])
def test_services_without_an_environment_are_not_silently_left_out(shelf, line):
    inventory(shelf, "staging", STAGING.replace("environment: staging\n", line))
    found = read(shelf)
    assert (found.rows, found.status) == ((), Exit.UNVERIFIED)
    assert found.unread[0].startswith("inventory/staging.yml: the services have no environment")
    inventory(shelf, "hosts", "hosts: {app-1: {address: 127.0.0.1, port: 1}}\n")
    inventory(shelf, "lab", "lab: embedded\nservices: {api: {kind: http, host: a, url: !lab api.url}}\n")
    assert read(shelf).unread == found.unread, "no services, and a lab"
    inventory(shelf, "whole", "environment: staging\ninclude: staging.yml\n")
    assert read(shelf).unread == ()
    assert set(states(shelf).values()) == {State.NEVER}


def test_the_inventories_and_the_kind_of_a_service_are_found(shelf):
    inventory(shelf, "staging", STAGING)
    inventory(shelf, "broken", "services: [\n")
    inventory(shelf, "base", STAGING.replace("environment: staging\n", ""))
    project = Project(shelf.root)
    assert estate.inventories_with(project, "cache") == ["staging"], "a file without an environment is no inventory"
    assert estate.inventories_with(project, "nothing") == []
    assert estate.kinds(project).keys() == {"shop", "cache", "spare"}
