"""Hooks that revert after a reboot, and the systemd unit that watches.

These tests run without systemd and cron: programs of the same names replace them, record their arguments, and do what
is possible. The tests in ``tests/systemd`` use the real systemd.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from drillbook.engine.leases import Lease
from drillbook.errors import CommandFailed, NotReady
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import LeaseConfig, ManagerConfig, Target
from tests.engine.leases.conftest import names, soon, until
from tests.engine.leases.test_lease import over, runs, watcher_of
from tests.systems.refusals import refused_until

CRONS = {"cron", "crond", "fcron", "busybox-cron"}
CRONTAB = """#!/bin/sh
if [ -e "$FAKES/denied" ]; then echo "you are not allowed to use this program (crontab)" >&2; exit 1; fi
case $1 in
  -l) if [ -e "$FAKES/tab" ]; then cat "$FAKES/tab"; else echo "no crontab for you" >&2; exit 1; fi ;;
  -r) rm "$FAKES/tab" ;;
  -) if [ -e "$FAKES/full" ]; then echo "no space" >&2; exit 1; fi; cat > "$FAKES/tab" ;;
esac
"""

SYSTEMD_RUN = """#!/bin/sh
printf '%s\\n' "$*" >> "$FAKES/said"
for one; do case $one in --*) shift ;; *) break ;; esac; done
setsid "$@" </dev/null >/dev/null 2>&1 &
"""

SYSTEMCTL = """#!/bin/sh
printf 'systemctl %s\\n' "$*" >> "$FAKES/said"
"""

SUDO = """#!/bin/sh
[ "$1" = -n ] && shift
[ "$1" = -l ] && exit 0
printf 'sudo ' >> "$FAKES/said"
exec "$@"
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Folder with programs first on PATH, a boot id that the test can change, and no systemd unless a test creates
    its folder.
    """
    folder = tmp_path / "fakes"
    (folder / "bin").mkdir(parents=True)
    (folder / "boot_id").write_text("first\n")
    monkeypatch.setenv("FAKES", str(folder))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DRILLBOOK_BOOT_ID", str(folder / "boot_id"))
    monkeypatch.setenv("DRILLBOOK_SYSTEMD", str(folder / "systemd"))
    monkeypatch.setenv("DRILLBOOK_UNITS", str(folder / "units"))
    monkeypatch.setenv("DRILLBOOK_LINGER", str(folder / "linger"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    return folder


def program(fakes, name, text):
    path = fakes / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def reboot(fakes, lease):
    """Reboot of the target: none of its processes is left, and the boot id differs."""
    pid = watcher_of(lease)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid))
    (fakes / "boot_id").write_text("second\n")


def leased(scratch, name, boot, manager=None):
    host = LocalHost(
        target=Target(
            name="here",
            local=True,
            scratch=str(scratch),
            lease=LeaseConfig(kind="auto", boot=boot),
            manager=manager or ManagerConfig(),
        )
    )
    return Lease(host, name, 3600)


FOREIGN = "# mine\n*/5 * * * * echo 100\\% # drillbook-run-10\n@daily true é\n"


def test_cron_reverts_at_boot_and_other_lines_stay(fakes, scratch):
    program(fakes, "crontab", CRONTAB)
    tab = fakes / "tab"
    tab.write_text(FOREIGN)
    scratch = scratch / "100% mine's"
    lease = leased(scratch, "run-1", "cron")
    assert lease.ready(deadline=soon()) == ("watcher", "cron")
    assert tab.read_text() == FOREIGN
    for seq in (1, 2):
        lease.arm(seq, "x", [["touch", str(scratch / f"undone {seq}")]], deadline=soon())
    assert tab.read_text().startswith(FOREIGN)
    (line,) = tab.read_text().removeprefix(FOREIGN).splitlines()
    assert re.fullmatch("@reboot .* # drillbook-run-1", line)
    assert "%" not in line.replace("\\%", ""), "cron reads a bare % as the end of the line"
    command = line.removeprefix("@reboot ").replace("\\%", "%")  # as cron does
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=60)
    assert lease.state(deadline=soon()).claim == "open", "cron was started again, not the host: nothing is reverted"
    reboot(fakes, lease)
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=60)
    assert (scratch / "undone 1").exists()
    state = over(lease)
    assert (state.undone, state.boot, state.age_s) == ((1, 2), "cron", None)
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=60)
    assert b"the host was started again: reverting" in lease.end(deadline=soon())
    assert tab.read_text() == FOREIGN


def test_a_crontab_that_was_not_there_is_not_there_afterwards(fakes, scratch):
    program(fakes, "crontab", CRONTAB)
    lease = leased(scratch, "run-1", "cron")
    lease.arm(1, "x", [["true"]], deadline=soon())
    assert (fakes / "tab").exists()
    lease.end(deadline=soon())
    assert not (fakes / "tab").exists()


def test_a_hook_whose_folder_is_gone_is_removed_all_the_same(fakes, scratch):
    program(fakes, "crontab", CRONTAB)
    (fakes / "tab").write_text(FOREIGN + "@reboot /bin/sh /gone # drillbook-run-1\n")
    assert leased(scratch, "run-1", "cron").end(deadline=soon()) == b""
    assert (fakes / "tab").read_text() == FOREIGN


def test_a_crontab_that_cannot_be_used_is_told_and_leaves_nothing(fakes, scratch):
    program(fakes, "crontab", CRONTAB)
    lease = leased(scratch, "run-1", "cron")
    (fakes / "denied").touch()
    with pytest.raises(NotReady, match="nothing here can revert at boot: this user may not use crontab"):
        lease.ready(deadline=soon())
    with pytest.raises(NotReady):
        lease.arm(1, "x", [["true"]], deadline=soon())
    (fakes / "denied").unlink()
    lease.ready(deadline=soon())
    (fakes / "full").touch()
    with pytest.raises(CommandFailed, match="cannot write the crontab"):
        lease.arm(1, "x", [["true"]], deadline=soon())
    assert names(scratch) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="units of the system are root's")
def test_systemd_watches_and_reverts_at_boot(fakes, scratch):
    (fakes / "systemd").mkdir()
    program(fakes, "systemctl", SYSTEMCTL)
    program(fakes, "systemd-run", SYSTEMD_RUN)
    lease = leased(scratch, "run-1", "auto")
    assert lease.ready(deadline=soon()) == ("systemd", "systemd")
    lease.arm(1, "x", [["touch", str(scratch / "undone")]], deadline=soon())
    said = (fakes / "said").read_text()
    assert "--unit=drillbook-run-1 --property=KillMode=process" in said
    assert "--uid=0 --quiet --collect" in said
    assert "systemctl enable drillbook-run-1-boot.service" in said
    unit = fakes / "units" / "drillbook-run-1-boot.service"
    start = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")).removeprefix("ExecStart=")
    reboot(fakes, lease)
    subprocess.run(shlex.split(start.replace("$$", "$").replace("%%", "%")), check=True, timeout=60)  # as systemd does
    assert over(lease).undone == (1,)
    lease.end(deadline=soon())
    assert not unit.exists()
    assert "systemctl disable drillbook-run-1-boot.service" in (fakes / "said").read_text()


def test_systemd_through_sudo_and_of_the_user(fakes, scratch):
    (fakes / "systemd").mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN), ("sudo", SUDO)):
        program(fakes, name, text)
    lease = leased(scratch, "run-1", "systemd", ManagerConfig(sudo=True))
    lease.arm(1, "x", [["true"]], deadline=soon())
    assert f"sudo --uid={os.getuid()} --quiet" in (fakes / "said").read_text()
    assert "sudo systemctl enable drillbook-run-1-boot.service" in (fakes / "said").read_text()
    assert "User=" in Path(fakes, "units", "drillbook-run-1-boot.service").read_text()
    lease.end(deadline=soon())
    user = leased(scratch, "run-2", "systemd", ManagerConfig(user=True))
    with pytest.raises(NotReady, match=r"cannot have a unit that starts at boot \(it takes root, sudo or lingering\)"):
        user.ready(deadline=soon())
    (fakes / "linger").mkdir()
    (fakes / "linger" / subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()).touch()
    user.ready(deadline=soon())
    user.arm(1, "x", [["true"]], deadline=soon())
    assert "--user --quiet --collect --unit=drillbook-run-2" in (fakes / "said").read_text()
    assert (fakes / "config/systemd/user/drillbook-run-2-boot.service").exists()
    user.end(deadline=soon())
    assert names(scratch) == [] == names(fakes / "config/systemd/user")


def test_a_crontab_that_nothing_reads_is_told(fakes, scratch):
    if any(path.read_text().strip() in CRONS for path in Path("/proc").glob("[0-9]*/comm")):
        pytest.skip("cron runs on this machine")
    program(fakes, "crontab", CRONTAB)
    (fakes / "bin" / "cron").symlink_to(shutil.which("sleep"))
    lease, daemons = leased(scratch, "run-1", "auto"), []

    def start():
        daemons.append(subprocess.Popen([fakes / "bin" / "cron", "600"]))
        until(lambda: Path(f"/proc/{daemons[0].pid}/comm").read_text() == "cron\n")

    try:
        said = "nothing here can revert at boot: crontab is there, but no cron runs"
        refused_until(lambda: lease.ready(deadline=soon()), said, start)
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()


def test_systemd_that_is_wanted_and_not_there_is_told(fakes, scratch):
    host = LocalHost(target=Target(name="here", local=True, scratch=str(scratch)))
    lease = Lease(host, "run-1", 5, LeaseConfig(kind="systemd", boot="none"))

    def boot():
        (fakes / "systemd").mkdir()
        for name, text in (("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN), ("sudo", SUDO)):
            program(fakes, name, text)

    refused_until(lambda: lease.ready(deadline=soon()), "PID 1 is not systemd", boot)
