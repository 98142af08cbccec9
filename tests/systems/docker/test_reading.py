"""Reads of containers, each with a real failure."""

import json
from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.docker.actions.change import Connect, SetMemory, Start
from drillbook.systems.docker.actions.reading import Inspect, Logs, Running, Stats
from drillbook.systems.docker.service import Container
from tests.systems.refusals import refused_until


def test_running_says_why_it_does_not(box):
    box.container()
    assert Running(service="box").run(box.ctx())["state"] == "running"
    made = box.container("sh", "-c", "exit 7")
    box.until(lambda: made.reload() or made.status == "exited", 60)
    with pytest.raises(StepFailed, match="is exited, status 7, not running") as failure:
        Running(service="box").run(box.ctx())
    assert failure.value.findings[0].code == "service-state"
    assert Running(service="box", state="stopped").run(box.ctx())["exit"] == 7
    with pytest.raises(StepFailed, match="was started, but has exited with status 7"):
        Start(service="box").run(box.ctx())


def test_running_sees_what_the_kernel_killed(box):
    made = box.container(
        "python3", "-c", "kept = bytearray(100 << 20)", mem_limit=32 << 20, memswap_limit=32 << 20, init=False
    )
    box.until(lambda: made.reload() or made.status == "exited", 60)
    with pytest.raises(StepFailed, match="killed for lack of memory"):
        Running(service="box").run(box.ctx())


def test_running_knows_health(box):
    made = box.container(healthcheck={"test": ["CMD", "test", "-e", "/tmp/well"], "interval": 10**8, "retries": 1})
    box.until(lambda: made.reload() or made.attrs["State"]["Health"]["Status"] == "unhealthy", 60)
    with pytest.raises(StepFailed, match=r"is running \(unhealthy\), not running \(healthy\)"):
        Running(service="box", healthy=True).run(box.ctx())
    made.exec_run(["touch", "/tmp/well"])
    box.until(lambda: made.reload() or made.attrs["State"]["Health"]["Status"] == "healthy", 60)
    assert Running(service="box", healthy=True).run(box.ctx())["health"] == "healthy"


def test_logs_and_the_errors_in_them(box):
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; done; printf 'ERROR: no \\033[31mroute\\n'"
    box.container("sh", "-c", script).wait()
    facts = Logs(service="box", lines=50).run(box.ctx())
    assert facts["lines"] == 50
    assert facts["errors"] == ["ERROR: no \\x1b[31mroute"]
    assert "line 300" in facts["last"]
    assert (box.root / "run" / facts["evidence"]["file"]).read_bytes().count(b"\n") == 50


def test_stats_of_a_busy_container(box):
    box.container("python3", "-c", "kept = bytearray(40 << 20)\nwhile True: pass", mem_limit=128 << 20)
    facts = Stats(service="box").run(box.ctx())
    assert facts["cpu_percent"] > 5
    assert 20 << 20 < facts["memory_bytes"] < 128 << 20
    assert facts["limit_bytes"] == 128 << 20
    box.made[0].kill()
    with pytest.raises(CouldNotVerify, match="its resource use cannot be measured"):
        Stats(service="box").run(box.ctx())


def test_inspect_tells_no_value_of_the_environment(box):
    box.container(environment={"DB_PASSWORD": "hunter2"}, mem_limit=64 << 20)
    facts = Inspect(service="box").run(box.ctx())
    assert "DB_PASSWORD" in facts["variables"]
    assert facts["limit_bytes"] == 64 << 20
    kept = (box.root / "run" / facts["evidence"]["file"]).read_text()
    assert "hunter2" not in kept + json.dumps(facts)
    assert "DB_PASSWORD=***" in kept


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (Logs, {}),
        (Stats, {}),
        (Inspect, {}),
        (SetMemory, {"memory": 64 << 20, "swap": 64 << 20}),
        (Connect, {"network": "none"}),
    ],
)
def test_a_container_that_is_absent_refuses_what_works_with_it(box, kind, params):
    made, gone = box.container(), Container(name="box", host="here", container="drillbook-test-absent")
    action = kind(service="box", **params)
    box.services["box"] = gone
    with pytest.raises(CouldNotVerify, match="there is no container"):
        action.run(box.ctx())
    told = []
    action.ready(replace(box.ctx(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]
    named = gone.model_copy(update={"container": made.name})
    refused_until(lambda: action.ready(box.ctx()), "there is no container", lambda: box.services.update(box=named))
    action.run(box.ctx())


def test_a_container_that_is_stopped_refuses_a_measurement(box):
    made = box.container()
    made.stop(timeout=0)
    action = Stats(service="box")
    with pytest.raises(CouldNotVerify, match="is exited"):
        action.run(box.ctx())
    refused_until(lambda: action.ready(box.ctx()), "so its resource use could not be measured", made.start)
    action.run(box.ctx())
