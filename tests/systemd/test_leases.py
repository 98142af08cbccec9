"""Leases under a real systemd: the watcher as a unit, the hook for reboots, and that nothing is left of either."""

import pytest

from drillbook.errors import NotReady
from drillbook.host import Deadline, LeaseConfig, ManagerConfig
from drillbook.leases import Lease
from tests.systemd.conftest import PATIENCE, Unit, until

SHORT, LONG = 5, 3600


def soon():
    return Deadline.after(PATIENCE)


def armed(machine, user, folder, seconds, unit="steady"):
    """A unit that is stopped, and the lease of its start: of a controller that then falls silent."""
    it = Unit(machine, user, unit, folder)
    it.manager.ensure(it.host, unit, "running", soon())
    lease = Lease(it.host, it.run, seconds)
    assert lease.ready(deadline=soon()) == ("systemd", "systemd")
    lease.arm(1, "x", it.manager.back(it.host, unit, soon()), deadline=soon())
    it.manager.ensure(it.host, unit, "stopped", soon())
    return it, lease


def of(machine, user, run, seconds=LONG):
    """The same lease over a new connection."""
    return Lease(machine.host(user), run, seconds)


def reverted(lease):
    def over():
        seen = lease.state(deadline=soon())
        return seen if seen.claim == "reverted" and not seen.busy and not seen.watcher else None

    return until(over, "the revert")


def test_a_unit_watches_and_puts_back_when_the_controller_is_gone(machine, user, tmp_path):
    """It lives in a unit of its own, not in the session of the controller, which ends with its connection."""
    it, lease = armed(machine, user, tmp_path, SHORT)
    unit = f"drillbook-{it.run}.service"
    assert "active" in it.systemctl("is-active", unit)
    pid = it.systemctl("show", "-p", "MainPID", "--value", unit).strip()
    assert machine.root(f"cat /proc/{pid}/cgroup").strip().endswith(f"/{unit}")
    owner = machine.root(f"stat -c %U /proc/{pid}").strip()
    assert owner == user
    machine.disconnect()
    lease = of(machine, user, it.run)
    state = reverted(lease)
    assert (state.undone, state.failed, state.boot) == ((1,), (), "systemd")
    after = Unit(machine, user, "steady", tmp_path)
    until(lambda: after.state().state == "running", "the unit")
    assert b"all reverted" in lease.end(deadline=soon())
    assert machine.left() == ""


@pytest.mark.parametrize("user", ["ops"])
def test_a_watcher_that_was_killed_is_replaced_at_the_next_renewal(machine, user, tmp_path):
    it, lease = armed(machine, user, tmp_path, LONG)
    it.systemctl("kill", "--signal=KILL", f"drillbook-{it.run}.service")
    until(lambda: not lease.state(deadline=soon()).watcher, "the end of the watcher")
    lease.renew(deadline=soon())
    assert lease.state(deadline=soon()).watcher
    assert "active" in it.systemctl("is-active", f"drillbook-{it.run}.service")
    lease.end(deadline=soon())
    assert machine.left() == ""


def test_systemd_puts_back_at_boot_what_is_armed(machine, tmp_path):
    """Once after a power loss, once after an ordinary reboot; of root, through sudo, and of a user's own manager."""
    units = {"root": "steady", "ops": "needs", "app": "steady"}
    for begin in (machine.lose_power, machine.reboot):
        runs = {user: armed(machine, user, tmp_path, LONG, unit)[0].run for user, unit in units.items()}
        begin()
        for user, run in runs.items():
            lease = of(machine, user, run)
            state = reverted(lease)
            assert (state.undone, state.age_s) == ((1,), None)
            after = Unit(machine, user, units[user], tmp_path)
            until(lambda after=after: after.state().state == "running", "the unit")
            assert b"the host was started again: reverting" in lease.end(deadline=soon())
        assert machine.left() == ""


def test_a_user_without_lingering_is_told(machine):
    machine.root("mv /var/lib/systemd/linger/app /root/linger")
    try:
        with pytest.raises(NotReady, match="lingering"):
            Lease(machine.host("app"), "run-1", LONG, LeaseConfig(boot="systemd")).ready(deadline=soon())
    finally:
        machine.root("mv /root/linger /var/lib/systemd/linger/app")


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
    machine.root("mkdir -p /usr/lib/systemd/logind.conf.d && cd /usr/lib/systemd/logind.conf.d && "
                 "printf '[Login]\\nKillUserProcesses=yes\\n' > kill.conf")
    try:
        with pytest.raises(NotReady, match="KillUserProcesses"):
            lease(SHORT).ready(deadline=soon())
    finally:
        machine.root("rm -r /usr/lib/systemd/logind.conf.d")


def test_a_folder_of_another_user_is_told(machine):
    one = Lease(machine.host("root", scratch="/var/tmp"), "run-1", LONG)
    one.arm(1, "x", [["true"]], deadline=soon())
    with pytest.raises(NotReady, match="/var/tmp/drillbook cannot be entered"):
        Lease(machine.host("ops", scratch="/var/tmp"), "run-2", LONG).arm(1, "x", [["true"]], deadline=soon())
    one.end(deadline=soon())
    assert machine.left() == ""
