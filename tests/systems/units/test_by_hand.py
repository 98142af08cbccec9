"""Commands of the service manager, as a person types them."""

import shlex
import subprocess

import pytest

from drillbook.sdk.by_hand import ManualStep, commands
from drillbook.sdk.host import ManagerConfig, Target
from drillbook.systems.units.service import Process


def typed(action, unit="app", **manager):
    target = Target(name="app-1", address="10.0.0.7", manager=ManagerConfig(**manager))
    service = Process(name="it", host="app-1", unit=unit)
    return commands(action, ManualStep({"service": "it"}, service, target, {"app-1": target}))


def test_a_restart_stops_and_starts():
    assert typed("service.restart", kind="systemd") == (
        *typed("service.stop", kind="systemd"),
        *typed("service.start", kind="systemd"),
    )
    assert typed("service.serve", kind="systemd") == typed("service.start", kind="systemd")


@pytest.mark.parametrize(
    ("manager", "word"),
    [({"kind": "systemd"}, "systemctl"), ({"kind": "supervisor", "config": "/etc/s.conf"}, "supervisorctl")],
)
def test_the_command_is_that_of_the_hosts_manager(manager, word):
    for action in ("service.status", "service.start", "service.stop"):
        text = "\n".join(typed(action, **manager))
        words = shlex.split(text)
        assert {word, "app"} <= set(words), text
        assert subprocess.run(["sh", "-n"], input=text.encode(), check=False).returncode == 0


def test_a_unit_with_a_space_is_one_word():
    (line,) = typed("service.stop", unit="my app", kind="supervisor", config="/etc/s.conf")
    assert "'my app'" in line


def test_a_service_without_a_unit_has_no_command():
    assert typed("service.stop", unit="", kind="systemd") == ()
    assert commands("service.stop", ManualStep({}, None, None, {})) == ()
