"""Service manager Docker: states as the engine prints them, and the main process of a container on its host."""

import json

import pytest

from drillbook.sdk.host import ManagerConfig
from drillbook.sdk.manager.container import Docker

MANAGER = Docker(ManagerConfig(kind="docker"))
NOW = 1795827723.5  # 2026-11-28T01:02:03.5Z


def stat(pid, parent, started, name="server"):
    """Line of /proc/PID/stat."""
    return f"{pid} ({name}) S {parent} {' '.join(['0'] * 17)} {started} 0 0"


def seen(*stats, **state):
    said = {"Status": "running", "ExitCode": 0, "Pid": 40, "StartedAt": "2026-11-28T01:00:00.123456789Z", **state}
    return MANAGER.read("web", "\n".join([f"0abc {json.dumps(said)}", str(NOW), *stats]))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, ("running", "running")),
        ({"Health": {"Status": "unhealthy"}}, ("running", "running (unhealthy)")),
        ({"StartedAt": "2026-11-28T01:02:03.1Z"}, ("starting", "running")),
        ({"StartedAt": "of another form"}, ("running", "running")),
        ({"Status": "exited"}, ("stopped", "exited (0)")),
        ({"Status": "exited", "ExitCode": 143}, ("stopped", "exited (143)")),
        ({"Status": "exited", "ExitCode": 1}, ("failed", "exited (1)")),
        ({"Status": "exited", "ExitCode": 137, "OOMKilled": True}, ("stopped", "exited (137, out of memory)")),
        ({"Status": "restarting"}, ("starting", "restarting")),
        ({"Status": "dead"}, ("failed", "dead")),
    ],
)
def test_a_state_of_the_engine_is_one_of_a_unit(state, expected):
    found = seen(**state)
    assert (found.state, found.word) == expected


def test_the_main_process_has_the_id_of_the_host():
    assert seen(stat(40, 1, 900), stat(41, 40, 901)).pid == 40
    inner = [stat(7001, 3, 950), stat(7000, 7001, 949), stat(7002, 3, 960, "a ) b")]
    assert seen(*inner).pid == 7001, "the oldest process without a parent in the container"
    assert seen().pid is None
    assert seen(stat(40, 1, 900), Status="exited").pid is None


@pytest.mark.parametrize("text", ["", "Error: no such container", '0abc {"Status": "running"}\nnow', "0abc []\n1"])
def test_another_output_is_no_state(text):
    assert MANAGER.read("web", text) is None
