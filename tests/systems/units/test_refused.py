"""Units and settings that a step could not use: reported before a drill, and usable once the cause is removed."""

import subprocess

import pytest

from drillbook.sdk.action import find
from drillbook.sdk.service import Http
from tests.systems.refusals import refused_until

CHANGE = {"service": "it", "set": {"LEVEL": "debug"}}


def ask(managed, verb):
    config = managed.host.target.manager.config
    subprocess.run(["supervisorctl", "-c", config, verb, "app"], check=True, capture_output=True)


def named(managed, unit):
    env = managed.root / "api.env"
    env.write_text("LEVEL=info\n")
    managed.services["it"] = Http(name="it", host="here", url="http://127.0.0.1:1", unit=unit, env_file=str(env))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("service.start", {}),
        ("service.stop", {}),
        ("service.status", {}),
        ("process.pause", {}),
        ("settings.change", CHANGE),
    ],
)
def test_a_unit_that_the_manager_does_not_know(managed, name, params):
    named(managed, "nosuch")
    action = find(name).model_validate({"service": "it", **params})
    refused_until(
        lambda: action.ready(managed.ctx()), "does not report the state of 'nosuch'", lambda: named(managed, "app")
    )


@pytest.mark.parametrize("name", ["service.stop", "service.kill", "service.start", "service.status"])
def test_a_service_without_a_unit_is_not_asked_for(managed, name):
    named(managed, "")
    action = find(name).model_validate({"service": "it"})
    said = "(?m)the service 'it' has no `unit` in the inventory$"
    refused_until(lambda: action.ready(managed.ctx()), said, lambda: named(managed, "app"))


def test_a_service_without_a_unit_is_not_served(managed):
    named(managed, "")
    ask(managed, "stop")
    serve, said = find("service.serve").model_validate({"service": "it"}), "the service 'it' has no `unit` in the inventory"
    refused_until(lambda: serve.ready(managed.ctx()), said, lambda: named(managed, "app"))


def test_a_service_without_a_unit_is_not_restarted(managed):
    named(managed, "")
    action = find("settings.change").model_validate(CHANGE)
    refused_until(
        lambda: action.ready(managed.ctx()),
        "has no `unit` in the inventory, so it cannot be restarted",
        lambda: named(managed, "app"),
    )


@pytest.mark.parametrize(
    ("name", "params", "before", "said", "after"),
    [
        ("service.stop", {}, "stop", "is STOPPED.* before the drill, but it must run", "start"),
        ("settings.change", CHANGE, "stop", "is STOPPED.* before the drill, but it must run", "start"),
        ("service.serve", {}, "start", "already runs, and the undo of this step would stop it", "stop"),
    ],
)
def test_a_unit_in_the_wrong_state(managed, name, params, before, said, after):
    named(managed, "app")
    if before == "stop":
        ask(managed, before)
    action = find(name).model_validate({"service": "it", **params})
    refused_until(lambda: action.ready(managed.ctx()), said, lambda: ask(managed, after))


@pytest.mark.parametrize(
    ("text", "said"),
    [("X" * (65 << 10), "is larger than the limit of 64 KiB"), ("OTHER=1\n", "has no variable LEVEL to remove")],
    ids=["size", "variable"],
)
def test_an_env_file_that_is_not_as_the_step_needs_it(ground, text, said):
    named(ground, "")
    env = ground.root / "api.env"
    env.write_text(text)
    change = find("settings.change").model_validate({"service": "it", "remove": ["LEVEL"], "restart": False})
    refused_until(lambda: change.ready(ground.ctx()), said, lambda: env.write_text("LEVEL=info\n"))
    ground.cycle(change)


def test_a_template_that_does_not_exist(ground):
    template = ground.root / "template"
    matches = find("env.matches").model_validate({"file": str(template), "template": str(template)})
    refused_until(
        lambda: matches.ready(ground.ctx()), "template .* does not exist", lambda: template.write_text("LEVEL=info\n")
    )
    assert matches.run(ground.ctx())["names"] == 1
