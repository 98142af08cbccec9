"""Timers of a project: systemd units that systemd accepts, and one line in a crontab."""

import os
import subprocess
import sys

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


def test_a_timer_is_written_enabled_and_removed(folder, tmp_path):
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n')
    program.chmod(0o755)
    assert folder.run("schedule.install", "--systemd").returncode == 0
    written = [path.suffix for path in (tmp_path / "config").rglob("*") if path.is_file()]
    assert sorted(written) == [".service", ".timer"]
    name = timers.name(folder.root.resolve())
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


def test_two_projects_of_one_name_have_two_timers(tmp_path):
    assert timers.name(tmp_path / "a" / "site") != timers.name(tmp_path / "b" / "site")
