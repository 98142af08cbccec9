"""Cut or hanging networks, dying targets, full disks, and clock jumps: each run has a clear verdict, and leaves
nothing, or exits with 5, names the residue, and `drill.recover` removes it. The scenarios mostly wait, so all of them
run at the same time; each test then checks the outcome of one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from drillbook.errors import Unreported
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged
from tests.e2e.field import Machine, Site, at, fill, small_disk, until

BEFORE, AFTER, RESTORE = ("phase.started", "inject"), ("done", "inject.1"), ("step.started", "restore.1")
BRIEF_S = 3.0
CASES = [(mode, moment, brief) for moment in (BEFORE, AFTER, RESTORE) for mode in ("cut", "hang") for brief in (False, True)]
LIAR = """#!/bin/sh
# A clock that jumps back and forth by ten years, for each program that asks it.
n=$(($(cat "$0.$PPID" 2>/dev/null || echo 0) + 1))
echo "$n" > "$0.$PPID"
if [ $((n % 2)) = 0 ]; then echo 2016-01-01T00:00:00Z; else echo 2036-01-01T00:00:00Z; fi
"""


def label(case):
    mode, (_, place), brief = case
    return f"{mode}-{place}-{'brief' if brief else 'for-ever'}"


def later(act, *words):
    threading.Timer(BRIEF_S, act, words).start()


class Stories:
    """Named scenarios of failures on sites. Those that were asked for start at the same time, see ``begin``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sites: list[Site] = []
        self.machines: list[Machine] = []
        liar = folder / "liar"
        liar.mkdir()
        (liar / "date").write_text(LIAR)
        (liar / "date").chmod(0o755)
        self.path = f"{liar}:{os.environ['PATH']}"
        self.shared = self.machine("shared")
        self.told: dict[str, Future] = {}

    def machine(self, name: str) -> Machine:
        """Machine whose wall clock jumps, and whose boot id can be changed."""
        boot = self.folder / f"boot-{name}"
        boot.write_text("first-boot\n")
        made = Machine(self.folder / name, {"PATH": self.path, "DRILLBOOK_BOOT_ID": str(boot)})
        made.start()
        self.machines.append(made)
        return made

    def site(self, name: str, *hosts: str, machine: Machine | None = None) -> Site:
        made = Site(self.folder / f"site-{name}", machine or self.shared, *hosts)
        self.sites.append(made)
        return made

    def network(self, case):
        mode, moment, brief = case
        site = self.site(label(case))

        def act():
            site.wires_do(mode)
            if brief:
                later(site.wires_do, "open")

        return site, *site.run(at(moment, act))

    def killed(self, name: str, back: bool):
        machine = self.machine(name)
        site = self.site(name, machine=machine)

        def act():
            machine.stop()
            if back:
                later(machine.start)

        return site, *site.run(at(AFTER, act))

    def rebooted(self, name: str):
        machine = self.machine(name)
        site = self.site(name, machine=machine)
        return site, *site.run(at(AFTER, lambda: machine.reboot(site)))

    def one_hangs(self, name: str):
        site = self.site(name, "older", "newer")
        return site, *site.run(at(("done", "inject.2"), lambda: site.wires["newer"].set("hang")))

    def begin(self, tests: Sequence[str]) -> None:
        """Start the scenarios whose outcome one of ``tests`` checks. CI runs few of them, and each scenario costs a minute."""
        work = {label(case): (self.network, case) for case in CASES}
        work |= {
            "killed": (self.killed, "killed", False),
            "killed-and-back": (self.killed, "killed-and-back", True),
            "rebooted": (self.rebooted, "rebooted"),
            "one-hangs": (self.one_hangs, "one-hangs"),
        }
        named = {OUTCOMES[test] if test in OUTCOMES else test.partition("[")[2].rstrip("]") for test in tests}
        pool = ThreadPoolExecutor(len(work))
        self.told = {name: pool.submit(*words) for name, words in work.items() if name in named}
        pool.shutdown(wait=False)

    def close(self) -> None:
        for future in self.told.values():
            future.exception(timeout=300)
        for site in self.sites:
            site.close()
        for machine in self.machines:
            machine.stop()


OUTCOMES = {
    "test_a_target_whose_server_is_killed_puts_it_back_by_itself": "killed",
    "test_a_target_whose_server_is_killed_and_started_again_is_put_back": "killed-and-back",
    "test_a_target_that_was_started_again_ends_the_run_and_is_put_back": "rebooted",
    "test_a_host_that_hangs_does_not_keep_another_waiting": "one-hangs",
}
"""Tests that check the outcome of one scenario, with its name. For other tests, the parameter is the name."""


@pytest.fixture(scope="module")
def stories(tmp_path_factory, request):
    made = Stories(tmp_path_factory.mktemp("stories"))
    made.begin([item.name for item in request.session.items if item.path == request.path])
    yield made
    made.close()


def put_back(site, view):
    """Assert that nothing is left and that the verdict is clear."""
    assert view.result.residue == ()
    assert view.result.exit != 5
    assert view.result.reason
    assert site.healthy()
    assert site.leftovers() == []


def told(site, view, host="far"):
    """Assert exit status 5, and that each residue names place and manual remedy. Return the reason of the residue."""
    assert (view.result.exit, view.result.verdict is Verdict.PASSED) == (5, False), view.result.reason
    (fault,) = [one for one in view.result.residue if one.step.startswith("inject")]
    assert (fault.host, fault.what.split()[0]) == (host, "command.run")
    assert f"touch {site.up[host]}" in fault.by_hand
    assert {one.host for one in view.result.residue} == {host}
    return fault.why


def recovered(site, folder):
    """Assert that `drill.recover` removes the residue, and records this in the same journal."""
    before = read(folder / FILE)
    assert site.recover(folder) == []
    after = read(folder / FILE)
    assert after.events[: len(before.events)] == before.events
    assert after.events[-1].kind == "recovery.finished"
    assert judged(RunState(folder)).result.residue == ()
    assert site.healthy()
    assert site.leftovers() == []


PROMISE = "far has a lease that undoes the change by itself 15 s after its last renewal"


@pytest.mark.parametrize("case", [case for case in CASES if case[2]], ids=label)
def test_a_network_that_comes_back_leaves_nothing(stories, case):
    site, _, view = stories.told[label(case)].result()
    put_back(site, view)


@pytest.mark.parametrize("case", [case for case in CASES if not case[2]], ids=label)
def test_a_network_that_stays_away_is_told_and_recovered_later(stories, case):
    site, folder, view = stories.told[label(case)].result()
    why = told(site, view)
    assert (PROMISE in why) == (case[1] is not BEFORE), "what was never armed is not promised"
    assert until(site.healthy), "the target puts it back by itself"
    if case[0] == "cut":
        assert "far" in {one.host for one in site.recover(folder)}, "what cannot be reached is still left, and told"
    site.wires_do("open")
    recovered(site, folder)


def test_a_target_whose_server_is_killed_puts_it_back_by_itself(stories):
    site, folder, view = stories.told["killed"].result()
    assert PROMISE in told(site, view)
    assert until(site.healthy), "nobody can log in, and the watcher still reverts"
    site.machine.start()
    recovered(site, folder)
    log = (folder / "evidence" / "lease.far.log").read_text()
    assert "all reverted" in log
    assert "2036-01-01T00:00:00Z" in log, "its wall clock lied all the time"
    assert "2016-01-01T00:00:00Z" in log


def test_a_target_whose_server_is_killed_and_started_again_is_put_back(stories):
    site, _, view = stories.told["killed-and-back"].result()
    put_back(site, view)


def test_a_target_that_was_started_again_ends_the_run_and_is_put_back(stories):
    site, _folder, view = stories.told["rebooted"].result()
    put_back(site, view)
    assert view.result.exit != 0


def test_a_host_that_hangs_does_not_keep_another_waiting(stories):
    site, folder, view = stories.told["one-hangs"].result()
    told(site, view, "newer")
    events = read(folder / FILE).events
    undone = [event for event in events if event.kind == "undone" and event.host == "older" and event.step == "inject.1"]
    failed = [event for event in events if event.kind == "undo.failed" and event.host == "newer"]
    assert undone[0].seq < failed[0].seq, "it did not wait until the other was given up"
    assert "reverting" not in (folder / "evidence" / "lease.older.log").read_text(), "the run put it back, not the lease"
    site.wires_do("open")
    recovered(site, folder)


def test_a_full_disk_of_the_controller(stories, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        (tmp_path / "scratch").mkdir()
        site = Site(disk / "site", stories.shared, place=tmp_path / "scratch")
        with pytest.raises(Unreported) as error:
            site.run(at(AFTER, lambda: fill(disk)))
        assert error.value.exit_status == 5
        assert "No space left on device; all changes were undone" in error.value.message
        (journal,) = site.root.glob("reports/*/journal.jsonl")
        assert f"invoke drill.recover {journal.parent.name}" in error.value.hint
        assert site.healthy()
        assert site.leftovers() == []
        assert not list(journal.parent.glob(".*")), "no half of a file"
        (disk / "filler").unlink()
        recovered(site, journal.parent)
        site.close()


@pytest.mark.parametrize("moment", [BEFORE, AFTER, RESTORE], ids=lambda moment: moment[1])
def test_a_full_disk_of_the_target(stories, tmp_path, moment):
    """No fault is injected when the disk is full before the undo is armed.

    A disk that fills up later does not prevent the undo.
    """
    with small_disk(tmp_path / "disk") as disk:
        site = Site(tmp_path / "site", stories.shared, place=disk)
        folder, view = site.run(at(moment, lambda: fill(disk)))
        put_back_but = [path for path in site.leftovers() if path.name != "filler"]
        assert (view.result.residue, put_back_but) == ((), [])
        assert site.healthy()
        ran = [event.data["argv"] for event in read(folder / FILE).events if event.kind == "command"]
        broken = ["rm", str(site.up["far"])] in ran
        assert broken == (moment is not BEFORE)
        assert any("cannot write" in one.measured for one in view.result.findings) != broken
        assert view.result.exit == (3 if moment is BEFORE else 0), view.result.reason
        site.close()


def test_a_target_with_a_full_disk_puts_it_back_by_itself(stories, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        site = Site(tmp_path / "site", stories.shared, place=disk)

        def act():
            fill(disk)
            site.wires_do("cut")

        folder, view = site.run(at(AFTER, act))
        assert PROMISE in told(site, view)
        assert until(site.healthy)
        site.wires_do("open")
        assert site.recover(folder) == []
        assert site.leftovers() == [], list(disk.rglob("*"))
        site.close()
