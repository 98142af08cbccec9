"""Timer by `schedule.install --systemd` on a machine that boots: it starts automatically, and runs the due drill."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import missing
from tests.systemd import image
from tests.systemd.conftest import booted, docker, until

ROOT = Path(__file__).parents[2]
PROJECT = "/home/app/acme"
INVENTORY = """\
environment: lab
hosts: {here: {local: true, lease: {boot: none}}}
services: {app: {kind: process, host: here}}
"""
DRILL = """\
drill: daily
title: Something is looked at
service: app
every: 1d
objectives: {}
verify:
  - command.run: {argv: ["true"], effect: read}
    hosts: here
"""


def libraries():
    """Shared libraries that this Python needs, as paths."""
    found = set()
    for path in [Path(sys.executable).resolve(), *Path(sys.base_prefix).glob("lib/python3*/lib-dynload/*.so")]:
        said = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        found |= {Path(name) for name in re.findall(r"=> (/\S+)", said)}
    return sorted(found)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Machine with this Python, its packages and the checkout mounted at their original paths."""
    if sys.base_prefix == "/usr":
        missing("this Python is the system's, which another machine does not see")
    volumes = [f"{path}:{path}:ro" for path in dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT)))]
    with booted(tmp_path_factory.mktemp("timer"), image.ready, volumes) as made:
        for path in libraries():
            if not docker("exec", made.name, "sh", "-c", f"test -e {path} || echo no", check=False).strip():
                continue
            docker("cp", "--follow-link", str(path), f"{made.name}:{path}")
        made.root("chmod a+x /root; ldconfig")
        done = docker("exec", made.name, *as_app("--version"), check=False)
        if not done.startswith("drillbook"):
            missing("this Python does not start on the machine")
        yield made


def as_app(*words):
    """Run the program in the project's folder as the user `app`, in the environment of its own systemd."""
    line = f"cd {PROJECT} 2>/dev/null || cd; XDG_RUNTIME_DIR=/run/user/$(id -u) exec {shlex.join(program(*words))}"
    return ["runuser", "-u", "app", "--", "sh", "-c", line]


def program(*words):
    return [sys.executable, "-m", "drillbook.cli", *words]


def runs(machine):
    """Results of the runs on the machine."""
    said = machine.root(f"cat {PROJECT}/reports/*daily*/result.json 2>/dev/null || true")
    return [json.loads(said)] if said else []


def test_a_timer_starts_the_drill_that_is_due_after_a_boot(machine):
    files = {"inventory/lab.yml": INVENTORY, "drills/daily.yml": DRILL}
    for name, text in files.items():
        place = f"{PROJECT}/{name}"
        machine.root(f"mkdir -p $(dirname {place}); cat >{place} <<'END'\n{text}END\nchown -R app: {PROJECT}\n")
    said = docker("exec", machine.name, *as_app("schedule.install", "--systemd", "--inventory", "lab"))
    (timer,) = re.findall(r"started: (\S+\.timer)", said)
    shown = machine.root(f"systemctl --user -M app@ show -P ActiveState -P UnitFileState {timer}")
    assert shown.split() == ["active", "enabled"]
    assert runs(machine) == []
    stamp = f"/home/app/.local/share/systemd/timers/stamp-{timer}"
    machine.root(f"touch -d '1 hour ago' {stamp}; sync")  # as if the machine had been off for an hour
    machine.lose_power()
    (result,) = until(lambda: runs(machine), "the run that the timer starts")
    assert (result["drill"], result["verdict"]) == ("daily", "passed")
    unit = timer.replace(".timer", ".service")
    ended = f"systemctl --user -M app@ show -P Result -P ExecMainStatus {unit}"
    assert until(lambda: machine.root(ended).split() == ["success", "0"], "the end of the service")
    docker("exec", machine.name, *as_app("schedule.remove", "--systemd"))
    assert (
        machine.root(
            f"systemctl --user -M app@ list-unit-files --no-legend '{unit}' '{timer}'; find /home/app/.config/systemd -name '*drillbook*'"
        )
        == ""
    )
