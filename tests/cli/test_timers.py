"""Timers of a project: systemd units that systemd accepts, and one line in a crontab."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from drillbook.cli import timers
from tests.needs import need
from tests.program import Folder, step

CRONTAB = """#!/bin/sh
case "$1" in
-l) [ -e "$CRONTAB_FILE" ] || { echo "no crontab for $(id -un)" >&2; exit 1; }; cat "$CRONTAB_FILE" ;;
-) cat >"$CRONTAB_FILE" ;;
esac
"""


@pytest.fixture
def folder(tmp_path):
    """Project in a folder whose name needs quoting for shells and systemd, and a replacement of the crontab program."""
    (tmp_path / "my 100% project").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "crontab"
    program.write_text(CRONTAB)
    program.chmod(0o755)
    made = Folder(tmp_path / "my 100% project")
    made.write("restore:\n" + step(["true"]))
    made.environment |= {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "CRONTAB_FILE": str(tmp_path / "crontab"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    made.crontab = tmp_path / "crontab"
    for name in ("inventory/staging", "elsewhere", "a b"):
        (made.root / f"{name}.yml").write_text((made.root / "inventory" / "lab.yml").read_text())
    return made


def test_a_line_in_the_crontab_and_its_removal(folder):
    other = "0 4 * * * backup # drillbook-of-somebody"
    folder.crontab.write_text(f"{other}\n")
    for _ in range(2):  # a second installation replaces the first one
        done = folder.run("schedule.install", "--cron")
        assert done.returncode == 0, done.stderr
    first, line = folder.crontab.read_text().splitlines()
    assert first == other
    assert line.startswith("*/15 * * * * cd ")
    assert folder.run("schedule.remove", "--cron").returncode == 0
    assert folder.crontab.read_text() == f"{other}\n"
    assert "there is no timer" in folder.run("schedule.remove", "--cron").stdout


def test_the_line_of_the_crontab_does_what_it_says(folder):
    folder.run("schedule.install", "--cron", "--inventory", "lab")
    command = folder.crontab.read_text().split(maxsplit=5)[5].replace(r"\%", "%")
    done = subprocess.run(["sh", "-c", command], env=folder.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_systemd_accepts_the_units(folder, tmp_path, monkeypatch):
    analyze = need("systemd-analyze")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for path, text in timers.units(folder.root, "lab").items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    argv = [analyze, "verify", *map(str, timers.units(folder.root, "lab"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    service = next(text for path, text in timers.units(folder.root, "lab").items() if path.suffix == ".service")
    assert f"WorkingDirectory={str(folder.root).replace('%', '%%')}\n" in service
    assert f"ExecStart={sys.executable} -m drillbook.cli schedule.run --inventory lab\n" in service


def test_units_that_systemd_does_not_accept_are_removed_again(folder, tmp_path):
    program = tmp_path / "bin" / "systemctl"
    program.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    program.chmod(0o755)
    done = folder.run("schedule.install", "--systemd")
    assert done.returncode == 3
    assert "Failed to connect to bus" in done.stderr
    assert "loginctl enable-linger" in done.stderr
    assert not [path for path in (tmp_path / "config").rglob("*") if path.is_file()]


@pytest.mark.parametrize("cause", ["bus", "enable", "file"])
def test_a_failed_installation_keeps_the_timer_that_was_installed(folder, tmp_path, cause):
    """No bus of the user, a timer that cannot be enabled, and a second file that cannot be written."""
    systemctl(tmp_path)
    assert folder.run("schedule.install", "--systemd").returncode == 0
    units = tmp_path / "config" / "systemd" / "user"
    for path in units.iterdir():
        path.write_text(f"# an older version\n{path.read_text()}")
    before = {path.name: path.read_text() for path in units.iterdir()}
    if cause == "file":
        timer = next(units.glob("*.timer"))
        timer.unlink()
        timer.mkdir()
        before = {name: text for name, text in before.items() if name.endswith(".service")}
    else:
        fails = "*" if cause == "bus" else "*enable*"
        (tmp_path / "bin" / "systemctl").write_text(
            f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\ncase $* in {fails}) exit 1;; esac\n'
        )
    assert folder.run("schedule.install", "--systemd").returncode == 3
    assert {path.name: path.read_text() for path in units.iterdir() if path.is_file()} == before
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "--user daemon-reload", "systemd knows the old units again"


def test_a_timer_is_written_enabled_and_removed(folder, tmp_path):
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n')
    program.chmod(0o755)
    assert folder.run("schedule.install", "--systemd").returncode == 0
    written = [path.suffix for path in (tmp_path / "config").rglob("*") if path.is_file()]
    assert sorted(written) == [".service", ".timer"]
    name = timers.name(folder.root.resolve(), "lab")
    assert folder.run("schedule.remove", "--systemd").returncode == 0
    assert (tmp_path / "calls").read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable --now {name}.timer",
        f"--user disable --now {name}.timer",
        "--user daemon-reload",
    ]
    assert not [path for path in (tmp_path / "config").rglob("*") if path.is_file()]


def test_one_kind_of_timer_must_be_named(folder):
    for argv in ([], ["--systemd", "--cron"]):
        done = folder.run("schedule.install", *argv)
        assert (done.returncode, "choose either --systemd or --cron" in done.stderr) == (2, True)


@pytest.mark.parametrize("kind", ["--systemd", "--cron"])
def test_an_inventory_that_does_not_exist_gets_no_timer(folder, tmp_path, kind):
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    for given in ("stagin", "inventory/stagin.yml"):
        done = folder.run("schedule.install", kind, "--inventory", given)
        assert (done.returncode, f"there is no inventory '{given}'" in done.stderr) == (2, True), done.stderr
        assert "inventories: lab, staging" in done.stderr
    dry = folder.run("--dry", "schedule.install", kind, "--inventory", "stagin")
    assert (dry.returncode, dry.stdout) == (2, "")
    assert not folder.crontab.exists()
    assert not [path for path in (tmp_path / "config").rglob("*") if path.is_file()]
    (folder.root / "inventory" / "stagin.yml").write_text((folder.root / "inventory" / "lab.yml").read_text())
    assert folder.run("schedule.install", kind, "--inventory", "stagin").returncode == 0


def test_two_projects_of_one_name_have_two_timers(tmp_path):
    assert timers.name(tmp_path / "a" / "site", "lab") != timers.name(tmp_path / "b" / "site", "lab")


def former(folder, inventory):
    """Name of the timer of a version before, which had no inventory in its name."""
    return timers.name(folder.root.resolve(), inventory).removesuffix(f"-{inventory}")


def marks(folder):
    return [line.rpartition(" --inventory ")[2] for line in folder.crontab.read_text().splitlines()]


def test_each_inventory_has_a_line_of_its_own_in_the_crontab(folder):
    family = former(folder, "lab")
    for inventory in ("lab", "staging", "lab", "inventory/staging.yml"):
        assert folder.run("schedule.install", "--cron", "--inventory", inventory).returncode == 0
    assert marks(folder) == [f"lab # {family}-lab", f"staging # {family}-staging"]
    assert "no timer" in folder.run("schedule.remove", "--cron", "--inventory", "other").stdout
    assert folder.run("schedule.remove", "--inventory", "lab").stdout == f"removed from your crontab: {family}-lab\n"
    assert marks(folder) == [f"staging # {family}-staging"]
    folder.run("schedule.install", "--cron", "--inventory", str(folder.root / "elsewhere.yml"))
    assert len(marks(folder)) == 2
    assert folder.run("schedule.remove").returncode == 0
    assert marks(folder) == []


@pytest.mark.parametrize("written", ["staging", "inventory/staging.yml"])
def test_a_line_of_a_version_before_is_replaced_and_removed(folder, written):
    def before():
        line = timers.cron_line(folder.root.resolve(), written)
        folder.crontab.write_text(f"{line.rpartition(' # ')[0]} # {former(folder, 'lab')}\n")

    before()
    assert folder.run("schedule.install", "--cron", "--inventory", "lab").returncode == 0
    assert len(marks(folder)) == 2, "the drills of the other inventory go on"
    assert folder.run("schedule.install", "--cron", "--inventory", "staging").returncode == 0
    assert marks(folder) == [f"{name} # {former(folder, 'lab')}-{name}" for name in ("lab", "staging")]
    for argv in (["--inventory", "staging"], []):
        before()
        assert "removed" in folder.run("schedule.remove", "--cron", *argv).stdout
        assert marks(folder) == []


def systemctl(tmp_path):
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n')
    program.chmod(0o755)


def unit_files(tmp_path):
    return sorted(path.stem for path in (tmp_path / "config").rglob("*.timer"))


def test_each_inventory_has_a_systemd_timer_of_its_own(folder, tmp_path):
    systemctl(tmp_path)
    family, units = former(folder, "lab"), tmp_path / "config" / "systemd" / "user"
    units.mkdir(parents=True)
    for path, text in timers.units(folder.root.resolve(), "lab").items():
        (units / f"{family}{path.suffix}").write_text(text)
    assert folder.run("schedule.install", "--systemd", "--inventory", "staging").returncode == 0
    assert unit_files(tmp_path) == [family, f"{family}-staging"], "the drills of the other inventory go on"
    assert folder.run("schedule.install", "--systemd", "--inventory", "lab").returncode == 0
    assert unit_files(tmp_path) == [f"{family}-lab", f"{family}-staging"]
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls.index(f"--user enable --now {family}-lab.timer") < calls.index(f"--user disable --now {family}.timer")
    texts = [path.read_text() for path in sorted(units.glob("*.service"))]
    assert ["--inventory lab\n" in text for text in texts] == [True, False]
    assert folder.run("schedule.remove", "--systemd", "--inventory", "lab").returncode == 0
    assert unit_files(tmp_path) == [f"{family}-staging"]
    folder.run("schedule.install", "--systemd", "--inventory", str(folder.root / "a b.yml"))
    assert len(unit_files(tmp_path)) == 2
    assert folder.run("schedule.remove").returncode == 0
    assert unit_files(tmp_path) == []


def only(tmp_path, folder, *programs):
    """The PATH has these programs alone."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for program in programs:
        (bare / program).symlink_to(tmp_path / "bin" / program)
    folder.environment["PATH"] = str(bare)


@pytest.mark.parametrize("kind", ["cron", "systemd"])
def test_without_cron_and_systemd_the_hint_runs_in_no_circle(folder, tmp_path, kind):
    only(tmp_path, folder)
    done = folder.run("schedule.install", f"--{kind}")
    assert done.returncode == 3, done.stderr
    assert f"{'crontab' if kind == 'cron' else 'systemctl'} is not installed" in done.stderr
    assert "install the package cron" in done.stderr
    assert "schedule.run --inventory" in done.stderr
    assert "--systemd" not in done.stderr


def test_a_machine_with_cron_and_without_systemd_is_told_of_cron(folder, tmp_path):
    only(tmp_path, folder, "crontab")
    assert "use --cron" in folder.run("schedule.install", "--systemd").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("program", ["crontab", "docker"])
def test_a_folder_on_the_path_that_may_not_be_read_is_no_traceback(program):
    """As another user, because root may enter every folder."""
    code = {
        "crontab": "from drillbook.cli import timers; timers._done(['crontab', '-l'])",
        "docker": "from drillbook.lab.containers import engine; engine._run(['docker'], within=5)",
    }[program]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as barred:
        Path(barred).chmod(0o700)
        text = f"import drillbook.cli.program, os\nos.environ['PATH'] = {barred!r}\nos.setuid(65534)\n{code}"
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert f"Error: {program} is not installed" in done.stderr


def test_a_folder_of_units_that_cannot_be_written_is_told(folder, tmp_path):
    systemctl(tmp_path)
    (tmp_path / "config").write_text("no folder")
    done = folder.run("schedule.install", "--systemd")
    assert (done.returncode, "cannot be written" in done.stderr) == (3, True), done.stderr
