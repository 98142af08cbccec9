"""Containers as units of a host: the contract of a service manager, with a real engine."""

from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.host import Deadline
from drillbook.sdk.manager import manager_of
from drillbook.systems.units.actions.service import Kill, Stop
from tests.systems.refusals import refused_until


@pytest.fixture
def deadline():
    return Deadline.after(120)


def test_the_life_of_a_unit(box, deadline):
    unit = box.container("sh", "-c", "echo hello; exec sleep 600").name
    manager = manager_of(box.host)
    first = manager.ensure(box.host, unit, "running", deadline)
    assert first.word == "running"
    assert "sleep" in Path(f"/proc/{first.pid}/cmdline").read_text(), "its number on this machine"
    assert box.host.run(manager.main(unit), deadline=deadline).check().text.strip() == str(first.pid)
    assert "hello" in box.host.run(manager.log(unit), deadline=deadline).text
    assert manager.ensure(box.host, unit, "stopped", deadline).state == "stopped"
    box.host.run(manager.start(unit), deadline=deadline).check()
    box.host.run(manager.start(unit), deadline=deadline).check()
    assert manager.ensure(box.host, unit, "running", deadline).pid != first.pid


def test_a_killed_unit_stays_down_whatever_its_engine_was_told(box, deadline):
    unit = box.container(restart_policy={"Name": "always"}).name
    manager = manager_of(box.host)
    seen = manager.ensure(box.host, unit, "running", deadline)
    box.host.run(manager.kill(seen), deadline=deadline).check()
    box.until(lambda: manager.state(box.host, unit, deadline).state != "running")
    seen = manager.state(box.host, unit, deadline)
    assert (seen.state, seen.word, seen.pid) == ("stopped", "exited (137)", None)
    assert box.client.containers.get(unit).attrs["RestartCount"] == 0


def test_a_unit_that_ends_at_once_is_not_taken_for_a_running_one(box, deadline):
    unit = box.container("sh", "-c", "echo the setting X is missing >&2; exit 3").name
    with pytest.raises(StepFailed, match=r"is exited \(3\), not running") as failure:
        manager_of(box.host).ensure(box.host, unit, "running", deadline)
    assert f"docker logs --tail 50 -- {unit}" in failure.value.message
    assert deadline.remaining() > 60, "it did not wait for the deadline"


def test_a_unit_that_is_gone_once_it_ends_is_not_stopped(box, deadline):
    def start(**options):
        container = box.container(**options)
        manager_of(box.host).ensure(box.host, container.name, "running", deadline)
        return container

    made = start(auto_remove=True)
    with pytest.raises(StepFailed, match="was not stopped: the container was created with --rm"):
        manager_of(box.host).ensure(box.host, made.name, "stopped", deadline)
    for fault in (Stop(service="box"), Kill(service="box")):
        start(auto_remove=True)
        refused_until(lambda fault=fault: fault.ready(box.ctx()), "was created with --rm", start)
    made.reload()
    assert made.status == "running"


def test_a_paused_unit_does_not_run(box, deadline):
    made = box.container()
    made.pause()
    assert manager_of(box.host).state(box.host, made.name, deadline).state == "paused"


def test_an_unknown_unit(box, deadline):
    with pytest.raises(CouldNotVerify, match="No such container"):
        manager_of(box.host).state(box.host, "drillbook-test-none", deadline)
