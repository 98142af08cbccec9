"""Leases under a real systemd: the watcher as a unit, the hook for reboots, and complete removal of both."""

import pytest

from drillbook.engine.leases import Lease, Lock, Owner
from drillbook.errors import CommandFailed, NotReady
from drillbook.sdk.host import Deadline, LeaseConfig, ManagerConfig
from tests.systemd.conftest import PATIENCE, Unit, until

SHORT, LONG = 10, 3600
UNITS = {"root": "steady", "ops": "again", "app": "steady"}


def soon():
    return Deadline.after(PATIENCE)


def armed(machine, user, folder, seconds):
    """Stopped unit, and the lease that starts it again, of a controller that is then silent."""
    unit = UNITS[user]
    it = Unit(machine, user, unit, folder)
    it.manager.ensure(it.host, unit, "running", soon())
    back = it.manager.back(it.host, unit, soon())
    it.manager.ensure(it.host, unit, "stopped", soon())
    lease = Lease(it.host, it.run, seconds)
    assert lease.ready(deadline=soon()) == ("systemd", "systemd")
    lease.arm(1, "x", back, deadline=soon())
    return it, lease


def of(machine, user, run, seconds=LONG):
    """The same lease over a new connection."""
    return Lease(machine.host(user), run, seconds)


def reverted(lease):
    def over():
        seen = lease.state(deadline=soon())
        return seen if seen.claim == "reverted" and not seen.busy and not seen.watcher else None

    return until(over, "the revert")


def runs_again(machine, user, folder):
    it = Unit(machine, user, UNITS[user], folder)
    until(lambda: it.state().state == "running", "the unit")


def test_a_unit_watches_and_puts_back_when_the_controller_is_gone(machine, tmp_path):
    """For root, through sudo, and for a user's own manager."""
    runs = {user: armed(machine, user, tmp_path, SHORT)[0].run for user in UNITS}
    machine.disconnect()
    for user, run in runs.items():
        lease = of(machine, user, run)
        state = reverted(lease)
        assert (state.undone, state.failed, state.boot) == ((1,), (), "systemd")
        runs_again(machine, user, tmp_path)
        assert b"no renewal" in lease.end(deadline=soon())
    assert machine.left() == ""


def test_a_watcher_has_a_unit_of_its_own_and_is_replaced_when_it_was_killed(machine, user, tmp_path):
    """The watcher is not in the session of the controller, which ends with its connection."""
    it, lease = armed(machine, user, tmp_path, LONG)
    unit = f"drillbook-{it.run}.service"

    def watcher():
        pid = it.systemctl("show", "-p", "MainPID", "--value", unit).strip()
        cgroup, owner = machine.root(f"cat /proc/{pid}/cgroup; stat -c %U /proc/{pid}").split()[-2:]
        assert cgroup.endswith(f"/{unit}")
        assert owner == user
        return pid

    first = watcher()
    it.systemctl("kill", "--signal=KILL", unit)
    until(lambda: not lease.state(deadline=soon()).watcher, "the end of the watcher")
    until(lambda: renewed(lease), "a renewal that starts another")
    assert lease.state(deadline=soon()).watcher
    assert watcher() != first
    lease.end(deadline=soon())
    assert machine.left() == ""


def renewed(lease):
    """The lease is renewed as by its holder; renewals are repeated if the machine was too busy to start a watcher in
    time.
    """
    try:
        lease.renew(deadline=soon())
    except CommandFailed as error:
        if "did not start within" not in str(error):
            raise
        return False
    return True


def test_systemd_puts_back_at_boot_what_is_armed(machine, tmp_path):
    """Once after a power loss, once after an ordinary reboot; for root, through sudo, and for a user's own manager."""
    for begin in (machine.lose_power, machine.reboot):
        runs = {user: armed(machine, user, tmp_path, LONG)[0].run for user in UNITS}
        begin()
        for user, run in runs.items():
            lease = of(machine, user, run)
            state = reverted(lease)
            assert (state.undone, state.age_s) == ((1,), None)
            runs_again(machine, user, tmp_path)
            assert b"the host was started again: reverting" in lease.end(deadline=soon())
        assert machine.left() == ""


def test_a_user_without_lingering_is_told(machine):
    lease = Lease(machine.host("app"), "run-1", LONG, LeaseConfig(boot="systemd"))
    machine.root("mv /var/lib/systemd/linger/app /root/linger")
    try:
        with pytest.raises(NotReady, match="lingering"):
            lease.ready(deadline=soon())
    finally:
        machine.root("mv /root/linger /var/lib/systemd/linger/app")
    lease.ready(deadline=soon())


def test_a_watcher_without_a_unit_outlives_its_session_where_logind_lets_it(machine):
    def lease(seconds):
        return Lease(machine.host("ops", ManagerConfig(), lease=LeaseConfig(boot="none")), "run-1", seconds)

    first = lease(SHORT)
    assert first.ready(deadline=soon()) == ("watcher", "none")
    first.arm(1, "x", [["true"]], deadline=soon())
    machine.disconnect()
    assert reverted(lease(SHORT)).undone == (1,)
    lease(SHORT).end(deadline=soon())
    assert machine.left() == ""
    machine.root(
        "mkdir -p /usr/lib/systemd/logind.conf.d && cd /usr/lib/systemd/logind.conf.d && "
        "printf '[Login]\\nKillUserProcesses=yes\\n' > kill.conf"
    )
    try:
        with pytest.raises(NotReady, match=r"logind ends this user's processes at logout \(KillUserProcesses\)"):
            lease(SHORT).ready(deadline=soon())
    finally:
        machine.root("rm -r /usr/lib/systemd/logind.conf.d")
    lease(SHORT).ready(deadline=soon())


def test_a_folder_of_another_user_is_told(machine):
    """The lock of the first run blocks the second; leases are in a separate folder of each user."""
    hosts = {user: machine.host(user, scratch="/var/tmp") for user in ("root", "ops")}
    lock, leases = (
        Lock(hosts["root"], "host", LONG),
        {user: Lease(host, f"run-{user}", LONG) for user, host in hosts.items()},
    )
    token = lock.take(Owner(run="run-1"), deadline=soon()).token
    with pytest.raises(NotReady, match="/var/tmp/drillbook cannot be entered"):
        Lock(hosts["ops"], "host", LONG).take(Owner(run="run-2"), deadline=soon())
    for lease in leases.values():
        lease.arm(1, "x", [["true"]], deadline=soon())
    assert [lease.folder for lease in leases.values()] == [
        "/var/lib/drillbook/leases/run-root",
        "/home/ops/.local/state/drillbook/leases/run-ops",
    ]
    for lease in leases.values():
        lease.end(deadline=soon())
    lock.release(token, deadline=soon())
    assert machine.left() == ""
