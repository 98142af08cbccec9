"""Units of a real systemd: of the system as root and through sudo, and of a user's own manager."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.host import Deadline, ManagerConfig
from drillbook.sdk.manager import manager_of
from drillbook.systems.units.actions.service import Kill, Log, Restart, Start, Status, Stop, TryStart
from drillbook.systems.units.actions.settings import Change
from tests.systemd.conftest import PATIENCE, Unit, until


def test_a_unit_is_started_stopped_killed_and_restarted(unit):
    it = unit("steady", started=False)
    facts = Start(service="it").run(it.ctx())
    assert Status(service="it").run(it.ctx()) == {
        "unit": "steady",
        "state": "running",
        "word": "active (running)",
        "pid": facts["pid"],
    }
    assert it.host.run(it.manager.main("steady"), deadline=Deadline.after(PATIENCE)).text.strip() == str(facts["pid"])
    again = Restart(service="it").run(it.ctx())
    assert again["pid_before"] == facts["pid"] != again["pid"]
    it.cycle(Stop(service="it"), lambda: Status(service="it", state="stopped").run(it.ctx()))
    it.cycle(Kill(service="it"), lambda: Status(service="it", state="stopped").run(it.ctx()))
    lines = Log(service="it").run(it.ctx())["lines"]
    assert any("status=9/KILL" in line for line in lines)
    assert it.state().state == "running"


@pytest.mark.parametrize("user", ["ops"])
def test_a_unit_that_its_manager_would_start_again_stays_down(unit):
    it = unit("again")
    for fault in (Stop(service="it"), Kill(service="it")):

        def down():
            assert it.state().state in ("stopped", "failed")
            assert it.systemctl("show", "-p", "SubState,Job", "again").split() in (
                ["SubState=dead", "Job="],
                ["SubState=failed", "Job="],
            ), "no start is due"

        it.cycle(fault, down)


@pytest.mark.parametrize("user", ["root"])
@pytest.mark.usefixtures("own_time")
def test_a_unit_that_cannot_work_is_not_taken_for_running(unit):
    """systemd calls it active as soon as its process was begun."""
    it = unit("ends", started=False)
    with pytest.raises(StepFailed, match=r"ends is failed \(failed\), not running") as failure:
        Start(service="it").run(it.ctx())
    assert "-u ends" in failure.value.findings[0].remedy
    assert TryStart(service="it").run(it.ctx())["started"] is False
    assert "error: no database" in Log(service="it").run(it.ctx())["last_error"]
    with pytest.raises(NotReady, match="must run"):
        Stop(service="it").ready(it.ctx())
    over_and_over = ("Restart=always", "RestartSec=50ms", "StartLimitIntervalSec=0")
    it.host.run(
        ("systemd-run", "--quiet", "--unit=quick", *(f"--property={one}" for one in over_and_over), "sh", "-c", "exit 3"),
        deadline=Deadline.after(PATIENCE),
    ).check()
    quick = unit("quick", started=False)
    facts = TryStart(service="it").run(replace(quick.ctx(), deadline=Deadline.after(6)))
    assert (facts["started"], facts["state"] in ("starting", "activating")) == (False, True)


@pytest.mark.parametrize("user", ["app"])
def test_a_masked_unit_and_one_without_a_file_are_not_broken(unit, machine):
    """Nothing could start them again."""
    hidden = unit("hidden", started=False)
    with pytest.raises(StepFailed, match="masked"):
        Start(service="it").run(hidden.ctx())
    assert hidden.state().word == "inactive (dead, masked)"
    with pytest.raises(CouldNotVerify, match="does not report the state of 'nosuch'"):
        unit("nosuch", started=False).state()
    it = unit("steady")
    it.systemctl("mask", "--runtime", "steady")
    try:
        for action in (Stop(service="it"), Kill(service="it")):
            with pytest.raises(NotReady, match="masked"):
                action.ready(it.ctx())
        with pytest.raises(StepFailed, match="was not stopped"):
            Restart(service="it").run(it.ctx())
        assert it.state().state == "running"
    finally:
        it.systemctl("unmask", "--runtime", "steady")
    tool = it.manager.stop("x")[:-2]
    words = tuple("systemd-run" if word == "systemctl" else word for word in tool)
    it.host.run((*words, "--quiet", "--unit=quick", "sleep", "600"), deadline=Deadline.after(PATIENCE)).check()
    quick = unit("quick")
    with pytest.raises(NotReady, match="systemd-run"):
        Stop(service="it").ready(quick.ctx())
    assert quick.state().state == "running"


@pytest.mark.parametrize("user", ["ops"])
def test_what_is_stopped_together_with_a_unit_comes_back_with_it(unit, machine):
    it = unit("steady")
    unit("needs")
    running = lambda: it.state("needs").state == "running"  # noqa: E731
    it.cycle(Stop(service="it"), lambda: until(lambda: it.state("needs").state == "stopped"))
    until(running, "the start of what requires it")
    before = it.state("needs").pid
    Restart(service="it").run(it.ctx())
    assert it.state("needs").pid != before
    assert running()
    before = it.state("needs").pid
    it.cycle(Kill(service="it"), lambda: it.state("needs"))
    assert it.state("needs").pid == before, "a crash does not stop what requires it"
    machine.root("echo LEVEL=info > /var/tmp/ops.env")
    it.cycle(Change.model_validate({"service": "it", "set": {"LEVEL": "wrong"}}))
    until(running, "the start of what requires it")
    assert it.state("needs").pid != before
    machine.root("rm /var/tmp/ops.env")


@pytest.mark.parametrize("user", ["app"])
def test_a_unit_that_a_socket_would_start_again_is_not_broken(unit):
    unit("woken.socket")
    it = unit("woken")
    with pytest.raises(NotReady, match=r"would be started again by woken\.socket"):
        Stop(service="it").ready(it.ctx())


@pytest.mark.parametrize("user", ["app"])
def test_a_log_that_may_not_be_read_is_told(unit, machine):
    it = unit("steady")
    assert Log(service="it").run(it.ctx())["lines"]
    it.services["it"] = it.services["it"].model_copy(update={"unit": "again"})
    Log(service="it").run(it.ctx())  # perhaps empty, yet readable
    stranger = machine.host("app", ManagerConfig())
    it.host, it.manager = stranger, manager_of(stranger)
    with pytest.raises(CouldNotVerify, match="cannot be read"):
        Log(service="it").run(it.ctx())


LATE = """
cat > /run/systemd/system/late.service <<'END'
[Service]
ExecStart=/bin/sh -c 'test -e /run/late && exec sleep infinity'
Restart=on-failure
RestartSec=10ms
END
systemctl daemon-reload
systemctl start late
"""


def test_a_unit_that_failed_too_often_starts_once_its_cause_is_mended(machine, tmp_path):
    it = Unit(machine, "ops", "late", tmp_path)
    try:
        machine.root(LATE)
        until(lambda: machine.root("systemctl is-active late || true").strip() == "failed", "the last of the failed starts")
        machine.root("touch /run/late")
        assert "repeated too quickly" in machine.root("systemctl start late 2>&1 || journalctl -u late -n 3 --no-pager")
        it.host.run(it.manager.start("late"), deadline=Deadline.after(PATIENCE)).check()
        until(lambda: it.state().state == "running", "the start")
    finally:
        machine.root("systemctl stop late; rm -f /run/late /run/systemd/system/late.service; systemctl daemon-reload")
