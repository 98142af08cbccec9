"""Service manager systemd: states of units as systemctl prints them. tests/systemd has a real one."""

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.host import ManagerConfig
from drillbook.sdk.manager.systemd import Systemd


def manager(**config):
    return Systemd(ManagerConfig(kind="systemd", **config))


def seen(**changes):
    values = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "MainPID": "40", "Result": "success"}
    values |= {"Type": "notify", "ActiveEnterTimestampMonotonic": "100000000", "Up": "200.00"} | changes
    return manager().read("web", "\n".join(f"{key}={value}" for key, value in values.items()))


@pytest.mark.parametrize(
    ("values", "state", "word", "pid"),
    [
        ({}, "running", "active (running)", 40),
        ({"ActiveState": "reloading"}, "running", "reloading (running)", 40),
        ({"ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, "stopped", "inactive (dead)", None),
        ({"ActiveState": "failed", "Result": "oom-kill"}, "failed", "failed (running, out of memory)", 40),
        ({"LoadState": "masked", "ActiveState": "inactive"}, "stopped", "inactive (running, masked)", 40),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "activating", "activating (auto-restart)", 40),
    ],
)
def test_a_state_of_systemctl_is_one_of_a_unit(values, state, word, pid):
    found = seen(**values)
    assert (found.state, found.word, found.pid) == (state, word, pid)


@pytest.mark.parametrize(
    ("kind", "up", "state"),
    [
        ("simple", "100.50", "starting"),
        ("exec", "100.50", "starting"),
        ("simple", "101.50", "running"),
        ("notify", "100.50", "running"),
        ("simple", "7.00", "running"),
        ("simple", "of a container", "running"),
    ],
)
def test_a_unit_that_does_not_tell_when_it_is_ready_must_have_run_a_while(kind, up, state):
    """An uptime before the start of the unit is that of a container."""
    assert seen(Type=kind, Up=up).state == state


def test_a_unit_that_systemd_does_not_know_has_no_state():
    assert seen(LoadState="not-found") is None
    assert manager().read("web", "Failed to connect to bus") is None


def test_a_unit_without_a_process_is_active_but_not_killed():
    found = seen(SubState="exited", MainPID="0")
    assert found.exited
    with pytest.raises(StepFailed, match="it has no process to kill"):
        manager().kill(found)


def test_commands_of_a_user_and_by_sudo():
    assert manager().stop("web") == ("systemctl", "stop", "web")
    assert manager(user=True).stop("web") == ("systemctl", "--user", "stop", "web")
    assert manager().by_sudo("stop", "web") == ()
    assert manager(sudo=True).by_sudo("stop", "web") == (("sudo", "-n", "systemctl", "stop", "web"),)
    kill, stop = manager(sudo=True).by_sudo("kill", "web")
    script = manager(sudo=True).kill(seen())
    assert (kill[:4], stop[:4]) == (("sudo", "-n", "systemctl", "kill"), ("sudo", "-n", "systemctl", "stop"))
    assert script[-3:] == ("sudo", "-n", "systemctl")
