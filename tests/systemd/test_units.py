"""Units of a real systemd: system units as root and through sudo, and units of a user's own manager."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline, ManagerConfig
from drillbook.sdk.manager import manager_of
from drillbook.sdk.probe import find_probe
from drillbook.systems.command.service import Command
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.redis import ownership
from drillbook.systems.redis.service import Redis
from drillbook.systems.units.actions.service import Kill, Log, Restart, Start, Status, Stop, TryStart
from drillbook.systems.units.actions.settings import Change
from tests.ports import free_port
from tests.systemd.conftest import PATIENCE, Unit, until
from tests.systems.refusals import refused_until


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
    """systemd reports the unit as active as soon as its process was created."""
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
    """After this, nothing could start them again."""
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


@pytest.mark.parametrize("user", ["ops"])
@pytest.mark.parametrize(
    ("name", "params", "started"),
    [
        ("service.stop", {}, True),
        ("service.serve", {}, False),
        ("settings.change", {"set": {"LEVEL": "debug"}}, True),
        ("postgres.stop", {"service": "database"}, True),
        ("redis", {}, True),
    ],
    ids=["stop", "serve", "settings", "database", "cache"],
)
def test_an_account_that_may_not_change_a_unit_is_told_and_by_sudo_it_may(unit, machine, name, params, started):
    machine.root("echo LEVEL=info > /var/tmp/ops.env")
    it = unit("steady", started=started)
    login = {"database": "shop", "user": "clerk", "admin": {"user": "postgres", "socket": "/run/postgresql"}}
    it.services["database"] = Postgres(name="database", host="ops", unit="steady", data_directory="/var/lib/pg", **login)
    it.services["cache"] = Redis(name="cache", host="ops", unit="steady", port=free_port())
    stranger = machine.host("ops", ManagerConfig())
    hosts = [stranger, it.host]

    def check():
        ctx = replace(it.ctx(), host=hosts[0])
        if name == "redis":
            ownership.ready(ctx, it.services["cache"])
        else:
            find(name).model_validate({"service": "it", **params}).ready(ctx)

    refused_until(
        check, "steady cannot be started or stopped: systemd lets only root start and stop units", lambda: hosts.pop(0)
    )
    assert (it.state().state == "running") is started
    machine.root("rm /var/tmp/ops.env")


@pytest.mark.parametrize("user", ["ops"])
def test_an_account_that_may_not_become_the_user_of_a_command_is_told(unit, machine):
    it = unit("steady")
    it.services["queue"] = Command(name="queue", host="ops", check=("test", "-e", "/"), run_as="nobody")
    words = {"write": ["touch", "/tmp/${record}"], "read": ["ls", "/tmp"], "remove": ["rm", "/tmp/${record}"]}
    canary = find_probe("command.canary").model_validate({"host": "ops", "run_as": "nobody", **words})
    check = find("command.check").model_validate({"service": "queue"})
    for look, command in ((check.ready, "test -e /"), (canary.reach, "touch /tmp/drillbook-.*")):
        hosts = [machine.host("app"), it.host]
        refused_until(
            lambda look=look, hosts=hosts: look(replace(it.ctx(), host=hosts[0], host_named=lambda name: hosts[0])),
            f"`{command}` would not be started as nobody: a password is required",
            lambda hosts=hosts: hosts.pop(0),
        )
    assert check.run(it.ctx())["exit"] == 0


@pytest.mark.parametrize("user", ["ops"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "systemd-tmpfiles-setup",
            r"systemd-tmpfiles-setup has no process \(state: active \(exited\)\), so it is not the unit of database",
        ),
        ("nosuch-database", "does not report the state of 'nosuch-database'"),
    ],
    ids=["exited", "unknown"],
)
def test_a_unit_that_is_not_that_of_a_server_is_told(unit, name, said):
    """systemd reports a unit without a process as active, such as Debian's `postgresql`, which starts the units of
    the clusters.
    """
    it, names = unit("steady"), [name, "steady"]
    login = {"database": "shop", "user": "clerk", "admin": {"user": "postgres", "socket": "/run/postgresql"}}
    stop = find("postgres.stop").model_validate({"service": "database"})

    def check():
        it.services["database"] = Postgres(name="database", host="ops", unit=names[0], data_directory="/var/lib/pg", **login)
        stop.ready(it.ctx())

    refused_until(check, said, lambda: names.pop(0))


@pytest.mark.parametrize("user", ["app"])
def test_a_unit_that_a_socket_would_start_again_is_not_broken(unit):
    unit("woken.socket")
    it = unit("woken")
    refused_until(
        lambda: Stop(service="it").ready(it.ctx()),
        r"woken would be started again by woken\.socket, which is active",
        lambda: it.systemctl("stop", "woken.socket"),
    )


@pytest.mark.parametrize("user", ["app"])
def test_a_log_that_may_not_be_read_is_told(unit, machine):
    it = unit("steady")
    assert Log(service="it").run(it.ctx())["lines"]
    it.services["it"] = it.services["it"].model_copy(update={"unit": "again"})
    Log(service="it").run(it.ctx())  # perhaps empty, but readable
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
