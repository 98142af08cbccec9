"""A cut network, a failing undo and a clock jump, while a real service is really down."""

from __future__ import annotations

import shutil
import threading
from datetime import datetime, timedelta

import pytest

from drillbook.journal.journal import FILE, History, read
from drillbook.journal.run_state import RunState
from drillbook.judge.judge import judge
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged
from drillbook.report.folders import last_word
from tests.e2e.controllers import eventually, eventually_healthy, healthy, start, wait_for
from tests.e2e.field import at, fill, small_disk
from tests.e2e.wire import Wire

AFTER, RESTORE = ("done", "inject.1"), ("step.started", "restore.1")
LEASE = ("  environments: [lab, staging]\n", "  environments: [lab, staging]\n  lease: 5s\n")
BRIEF_S = 3.0


@pytest.fixture
def wired(bench):
    """The bench, the inventory ``wired`` with one host behind a relay, and that relay."""
    wires = []

    def through(host):
        wire = Wire(int(bench.value(f"ssh.{host}")))
        wires.append(wire)
        known = bench.project.root / "known_hosts"
        lines = (bench.lab / "known_hosts").read_text()
        known.write_text(lines + lines.replace(f":{bench.value(f'ssh.{host}')} ", f":{wire.port} "))
        text = (bench.project.root / "inventory" / "lab.yml").read_text()
        text = text.replace(f"port: !lab ssh.{host}", f"port: {wire.port}").replace("!lab known_hosts", str(known))
        (bench.project.root / "inventory" / "wired.yml").write_text(text)
        return bench.project.inventory("wired"), wire

    yield through
    for wire in wires:
        wire.close()


def state_left(bench):
    return [path for host in ("app-1", "db-1", "db-2", "store-1") for path in (bench.lab / host).glob("tmp/drillbook*")]


def test_the_api_is_started_by_the_target_when_the_network_stays_away(bench, wired):
    inventory, wire = wired("app-1")
    plan = bench.plan("api-down", LEASE, inventory=inventory)
    folder, view = bench.run(plan, at(AFTER, lambda: wire.set("cut")), inventory)
    assert view.result.exit == 5, view.result.reason
    (fault,) = [one for one in view.result.residue if one.step == "inject.1"]
    assert (fault.host, fault.what) == ("app-1", "service.kill (Kill the API's process)")
    assert "start api" in " ".join(fault.by_hand.split()) or 'start "$unit"' in fault.by_hand
    assert "undoes the change by itself" in fault.why
    assert eventually_healthy(bench)
    wire.set("open")
    assert bench.recover(folder) == []
    assert judged(RunState(folder)).result.residue == ()
    assert state_left(bench) == []


def test_a_database_is_restored_although_the_network_was_away_during_the_restore(bench, wired):
    """Only the restore can undo the fault, so the interrupted restore runs again."""
    bench.spoiled = True
    inventory, wire = wired("db-1")

    def act():
        wire.set("cut")
        threading.Timer(BRIEF_S, wire.set, ["open"]).start()

    _folder, view = bench.run(bench.plan("postgres-lost", inventory=inventory), at(RESTORE, act), inventory)
    assert (view.result.residue, view.result.verdict) == ((), Verdict.FAILED), view.result.reason
    with bench.admin() as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
    assert eventually_healthy(bench)
    assert state_left(bench) == []
    bench.spoiled = False


def test_a_database_is_restored_although_the_disk_of_the_controller_is_full(bench):
    """The disk is full right after the data loss until the run has ended, so that nothing more can be recorded."""
    bench.spoiled = True
    with small_disk(bench.project.root / "reports", megabytes=8) as disk:
        controller = start(bench, "drill", "postgres-lost")
        folder = wait_for(bench, controller, "fault.active", "inject.1")
        fill(disk)
        said = controller.communicate(timeout=300)[0]
        assert (controller.returncode, "Traceback" in said) == (5, False), said
        assert "No space left on device; all changes were undone" in " ".join(said.split())
        with bench.admin() as connection:
            assert connection.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
        assert eventually_healthy(bench)
        assert last_word(folder) is None
        (disk / "filler").unlink()
        recovery = start(bench, "drill.recover", folder.name)
        said = recovery.communicate(timeout=120)[0]
        assert recovery.returncode == 5, said
        assert "the database dpa exists already" in " ".join(said.split()), "no record tells that this run restored it"
        closing = start(bench, "drill.recover", folder.name, "--settled", "--reason", "the run said that all was put back")
        said = closing.communicate(timeout=120)[0]
        assert closing.returncode == 0, said
        assert eventually_healthy(bench)
    assert state_left(bench) == []
    bench.spoiled = False


def test_an_undo_that_fails_is_told_and_recovered_later(bench):
    """The API cannot be started, because its service manager does not find its configuration."""
    settings = bench.lab / "app-1" / "supervisord.conf"
    away = settings.with_suffix(".away")
    drill = bench.project.drill_names()["api-down"]
    drill.write_text(bench.text("api-down").replace(*LEASE))
    try:
        folder, view = bench.run(bench.plan("api-down"), at(AFTER, lambda: shutil.move(settings, away)))
        assert view.result.exit == 5
        (fault,) = [one for one in view.result.residue if one.step == "inject.1"]
        assert (fault.host, fault.what) == ("app-1", "service.kill (Kill the API's process)")
        assert "supervisorctl" in fault.by_hand
        assert f"drillbook drill.recover {folder.name}" in (folder / "report.md").read_text()
        assert all(words in (folder / "report.md").read_text() for words in ("app-1", "service.kill", "supervisorctl"))
        with pytest.raises(OSError):
            healthy(bench)
    finally:
        shutil.move(away, settings)
    before = read(folder / FILE)
    recovery = start(bench, "drill.recover", folder.name)
    output = recovery.communicate(timeout=120)[0]
    assert recovery.returncode == 0, output
    after = read(folder / FILE)
    assert after.events[: len(before.events)] == before.events, "the same journal goes on"
    assert after.events[-1].kind == "recovery.finished"
    assert judged(RunState(folder)).result.residue == ()
    assert eventually_healthy(bench)
    assert eventually(lambda: state_left(bench) == [])


def test_a_clock_that_jumps_on_the_controller_changes_no_figure(bench):
    """Every event contains the wall clock; all figures use the monotonic clock."""
    folder, view = bench.run(bench.plan("api-down"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    history = read(folder / FILE)

    def jumped(event):
        when = datetime.fromisoformat(event.at) + timedelta(days=3653 if event.seq % 2 else -3653)
        return event.model_copy(update={"at": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})

    other = judge(History(tuple(map(jumped, history.events)), history.torn)).result
    assert other.started != view.result.started
    same = {"started": "", "finished": ""}
    assert other.model_copy(update=same) == view.result.model_copy(update=same)
