"""What is read of containers, each against the real thing being wrong."""

import json
import socket
import subprocess

import pytest

from drillbook.actions.docker.change import Start
from drillbook.actions.docker.look import Inspect, Logs, Running, Stats
from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.host import Deadline
from drillbook.services import Container, Process


def test_running_says_why_it_does_not(box):
    box.container()
    assert Running(service="box").run(box.ctx())["state"] == "running"
    made = box.container("sh", "-c", "exit 7")
    box.until(lambda: made.reload() or made.status == "exited", 60)
    with pytest.raises(StepFailed, match="is exited, status 7, not running") as failure:
        Running(service="box").run(box.ctx())
    assert failure.value.findings[0].code == "service-state"
    assert Running(service="box", state="stopped").run(box.ctx())["exit"] == 7
    with pytest.raises(StepFailed, match="was started and ended with status 7"):
        Start(service="box").run(box.ctx())


def test_running_sees_what_the_kernel_killed(box):
    made = box.container("python3", "-c", "kept = bytearray(100 << 20)", mem_limit=32 << 20, memswap_limit=32 << 20, init=False)
    box.until(lambda: made.reload() or made.status == "exited", 60)
    with pytest.raises(StepFailed, match="killed for memory"):
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
    with pytest.raises(CouldNotVerify, match="uses nothing that could be measured"):
        Stats(service="box").run(box.ctx())


def test_inspect_tells_no_value_of_the_environment(box):
    box.container(environment={"DB_PASSWORD": "hunter2"}, mem_limit=64 << 20)
    facts = Inspect(service="box").run(box.ctx())
    assert "DB_PASSWORD" in facts["variables"]
    assert facts["limit_bytes"] == 64 << 20
    kept = (box.root / "run" / facts["evidence"]["file"]).read_text()
    assert "hunter2" not in kept + json.dumps(facts)
    assert "DB_PASSWORD=***" in kept


def test_an_unknown_container_and_a_service_that_is_none(box):
    box.services = {"box": Container(name="box", host="here", container="drillbook-test-none"),
                    "other": Process(name="other", host="here")}
    with pytest.raises(CouldNotVerify, match="there is no container 'drillbook-test-none'"):
        Running(service="box").run(box.ctx())
    with pytest.raises(NotReady, match="is no container, as far as the inventory says"):
        Running(service="other").ready(box.ctx())


def test_no_engine_there(box, tmp_path):
    box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{tmp_path}/none.sock")}
    with pytest.raises(CouldNotVerify, match=r"none.sock does not answer"):
        Running(service="box").run(box.ctx())


def test_an_engine_that_hangs_is_left_at_the_deadline(box, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(8)
        box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{tmp_path}/s")}
        ctx = box.ctx()
        object.__setattr__(ctx, "deadline", Deadline.after(1.0))
        with pytest.raises((CouldNotVerify, TimeoutError)):
            Running(service="box").run(ctx)


def test_the_engine_says_the_same_as_its_program(box):
    made = box.container()
    said = subprocess.run(["docker", "inspect", "--format", "{{.Config.Image}}", made.name], capture_output=True, text=True, check=True)
    assert Inspect(service="box").run(box.ctx())["image"] == said.stdout.strip()
