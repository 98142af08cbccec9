"""Locks, leases, fencing and remote stop requests, with controllers that are really frozen or stopped."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time

import pytest

from drillbook.errors import Locked
from tests.e2e.controllers import eventually, eventually_healthy, healthy, journal_of, start, wait_for

SLOW = "  - command.run: {argv: [sleep, '60'], effect: read}\n    hosts: app-1\n    timeout: 90s\n"


@pytest.fixture
def slow(bench):
    """The drill api-down with a short lease, paused for a minute while the API is down."""
    text = bench.text("api-down").replace("restore:\n", f"restore:\n{SLOW}")
    text = text.replace("  environments: [lab, staging]\n", "  environments: [lab, staging]\n  lease: 6s\n")
    assert "lease: 6s" in text
    bench.project.drill_names()["api-down"].write_text(text)
    return bench


@pytest.fixture
def elsewhere(slow, tmp_path_factory):
    """Second project, as on another machine: same drills and inventory, but no runs."""
    root = tmp_path_factory.mktemp("elsewhere")
    for folder in ("drills", "inventory"):
        shutil.copytree(slow.project.root / folder, root / folder)
    shutil.copy(slow.project.root / "inventory" / "lab.yml", root / "inventory" / "lab.yml")
    return root


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def end(process, *, terminate=True):
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        if terminate:
            process.terminate()
    return process.communicate(timeout=120)[0]


def state_left(bench):
    """Locks and leases that remain on the lab's hosts."""
    return [path for host in ("app-1", "db-1", "db-2", "store-1") for path in (bench.lab / host).rglob("tmp/drillbook*")]


def test_a_second_drill_on_the_service_is_refused_while_the_first_runs(slow, elsewhere):
    first = start(slow, "drill", "api-down")
    try:
        wait_for(slow, first, "step.started", "restore.1")
        second = start(slow, "drill", "api-down", "--quiet", root=elsewhere)
        output = second.communicate(timeout=120)[0]
        assert second.returncode == 4, output
        assert "locked by run" in output
        _rename_the_api(elsewhere)
        third = start(slow, "drill", "api-down", "--quiet", root=elsewhere)
        output = third.communicate(timeout=120)[0]
        assert third.returncode == 4, output
        assert "frontend (unit-api) is locked by run" in re.sub(r"\s+", " ", output)
    finally:
        end(first)
    assert eventually_healthy(slow)
    assert state_left(slow) == []


def _rename_the_api(root):
    """Different names for the API and its host in the second project."""
    path = root / "inventory" / "lab.yml"
    path.write_text(
        re.sub(
            r"\bapi:\n",
            "frontend:\n",
            path.read_text().replace("app-1:", "web:").replace("host: app-1", "host: web").replace("[app-1]", "[web]"),
        )
    )
    for path in (root / "drills").rglob("api-down.yml"):
        path.write_text(
            path.read_text()
            .replace("service: api", "service: frontend")
            .replace("services.api.", "services.frontend.")
            .replace("hosts: app-1", "hosts: web")
        )


@pytest.mark.parametrize("way", ["lock", "file", "task"])
def test_a_run_is_stopped_from_elsewhere_and_puts_everything_back(slow, elsewhere, way):
    first = start(slow, "drill", "api-down")
    folder = wait_for(slow, first, "step.started", "restore.1")
    if way == "file":
        (folder.parent / "stop").write_text("the release manager\n")
    else:
        root = elsewhere if way == "lock" else slow.project.root
        other = start(slow, "drill.stop", *(() if way == "lock" else (folder.name,)), root=root)
        output = other.communicate(timeout=120)[0]
        assert other.returncode == 0, output
    output = first.communicate(timeout=120)[0]
    assert first.returncode == 4, output
    result = result_of(folder)
    assert (result["verdict"], result["residue"]) == ("aborted", [])
    (asked,) = [event["data"] for event in journal_of(folder) if event["kind"] == "stop.requested"]
    assert asked["by"]
    assert eventually_healthy(slow)
    assert state_left(slow) == []


def test_a_frozen_controller_loses_its_lock_and_its_late_writes_are_fenced_off(slow, elsewhere):
    """The first controller is frozen for longer than its lease: the target reverts, and another run takes over.

    After it wakes up, the first controller changes nothing any more.
    """
    first = start(slow, "drill", "api-down")
    try:
        folder = wait_for(slow, first, "step.started", "restore.1")
        with pytest.raises(OSError):
            healthy(slow)
        first.send_signal(signal.SIGSTOP)
        frozen = time.monotonic()
        assert eventually_healthy(slow, seconds=60), "the target did not start the API by itself"
        reverted = time.monotonic() - frozen
        second = start(slow, "drill", "api-down", root=elsewhere)
        other = wait_for(slow, second, "step.started", "restore.1", root=elsewhere)
        (taken,) = [event["data"] for event in journal_of(other) if event["kind"] == "lock.taken"]
        assert taken["taken_from"]["run"] == folder.name
        before = len(journal_of(folder))
        first.send_signal(signal.SIGCONT)
        output = first.communicate(timeout=120)[0]
        late = journal_of(folder)[before:]
        with pytest.raises(OSError):
            healthy(slow)  # the second run's fault is still active: the undo of the first run did not start the API
    finally:
        end(first)
        end(second)
    assert first.returncode == 5, output
    lost = [event for event in late if event["kind"] in ("lock.lost", "lease.lapsed")]
    assert lost, [event["kind"] for event in late]
    assert not any(
        event["kind"] == "command" and event["data"]["exit"] == 0 and "start" in event["data"]["argv"] for event in late
    ), "a late write got through"
    assert any("lock" in one["why"] for one in result_of(folder)["residue"])
    assert reverted > 5
    assert eventually_healthy(slow)
    # the first run can be recovered after the other has ended
    assert slow.recover(folder) == []
    assert state_left(slow) == []


def test_a_controller_frozen_until_its_targets_reverted_does_not_pass(bench):
    """The controller wakes up in the last verification, which passed; meanwhile the target has undone the fault."""
    (bench.project.root / "drills" / "brief.yml").write_text("""\
drill: brief
title: The API is down for a moment
service: api
guard: {environments: [lab], lease: 8s}
inject:
  - service.kill: {service: api}
verify:
  - command.run: {argv: [sleep, "1"], effect: read}
    hosts: app-1
""")
    first = start(bench, "drill", "brief")
    try:
        folder = wait_for(bench, first, "lease.armed")
        lease = bench.lab / "app-1" / "tmp" / "drillbook" / "leases" / folder.name
        wait_for(bench, first, "step.started", "verify.1")
        first.send_signal(signal.SIGSTOP)
        assert eventually((lease / "claim.reverted").exists, seconds=90)
    finally:
        output = end(first, terminate=False)
    assert first.returncode == 4, output
    result = result_of(folder)
    assert (result["verdict"], result["residue"]) == ("aborted", [])
    assert "lease-lapsed" in [one["code"] for one in result["findings"]]
    assert eventually_healthy(bench)
    assert state_left(bench) == []


def test_a_run_cannot_be_recovered_from_a_copy_of_its_folder_while_it_is_alive(slow, elsewhere):
    first = start(slow, "drill", "api-down")
    try:
        folder = wait_for(slow, first, "step.started", "restore.1")
        copy = elsewhere / "reports" / folder.name
        shutil.copytree(folder, copy)
        with pytest.raises(Locked, match="locked by run"):
            slow.recover(copy)
        assert first.poll() is None
    finally:
        end(first)
    assert result_of(folder)["residue"] == []


def test_a_killed_controller_is_recovered_from_a_copy_on_another_machine(slow, elsewhere, monkeypatch):
    """Another machine cannot see that the controller is dead, so it waits until the lease expires."""
    first = start(slow, "drill", "api-down")
    folder = wait_for(slow, first, "step.started", "restore.1")
    first.kill()
    first.communicate()
    copy = elsewhere / "reports" / folder.name
    shutil.copytree(folder, copy)
    monkeypatch.setattr("drillbook.engine.locks_and_leases.ended", lambda controller: False)
    assert slow.recover(copy) == []
    assert eventually_healthy(slow)
    assert state_left(slow) == []
    kinds = [event["kind"] for event in journal_of(copy)]
    assert kinds[-1] == "recovery.finished"


def test_a_drill_is_refused_where_a_dead_run_has_left_its_fault(slow):
    first = start(slow, "drill", "api-down")
    folder = wait_for(slow, first, "step.started", "restore.1")
    first.kill()
    first.communicate()
    second = start(slow, "drill", "cache-lost", "--quiet")
    output = second.communicate(timeout=60)[0]
    assert second.returncode == 4, output
    assert f"drillbook drill.recover {folder.name}" in " ".join(output.split())
    recovery = start(slow, "drill.recover")
    output = recovery.communicate(timeout=120)[0]
    assert recovery.returncode == 0, output
    assert eventually_healthy(slow)
    assert state_left(slow) == []


def test_a_second_interrupt_hurries_and_still_puts_everything_back(slow):
    first = start(slow, "drill", "api-down")
    folder = wait_for(slow, first, "step.started", "restore.1")
    first.send_signal(signal.SIGINT)
    assert eventually(lambda: any(event["kind"] == "signal" for event in journal_of(folder)))
    first.send_signal(signal.SIGINT)
    output = first.communicate(timeout=120)[0]
    assert first.returncode == 4, output
    result = result_of(folder)
    assert (result["verdict"], result["residue"]) == ("aborted", [])
    assert eventually_healthy(slow)
    assert state_left(slow) == []


def test_a_condition_that_trips_reverts_the_run_at_once(slow):
    text = slow.project.drill_names()["api-down"].read_text()
    mark = slow.lab / "app-1" / "tmp" / "everything-is-fine"
    mark.write_text("")
    condition = f"  abort_if:\n    - command.run: {{argv: [test, -e, {mark}], effect: read}}\n      hosts: app-1\n      every: 200ms\n"
    text, there = re.subn(r"  abort_if:.*\n", condition, text)
    assert there == 1
    slow.project.drill_names()["api-down"].write_text(text)
    first = start(slow, "drill", "api-down")
    folder = wait_for(slow, first, "step.started", "restore.1")
    mark.unlink()
    output = first.communicate(timeout=120)[0]
    assert first.returncode == 4, output
    result = result_of(folder)
    assert (result["verdict"], result["residue"]) == ("aborted", [])
    assert "guard-tripped" in [one["code"] for one in result["findings"]]
    assert eventually_healthy(slow)
