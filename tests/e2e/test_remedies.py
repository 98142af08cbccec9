"""Every step of every remedy in the handbook is necessary: without it the drill fails, and names the step of the
drill that detected this. All earlier verifications succeed, so that this step is the only cause.
"""

import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from drillbook.errors import PlanError
from drillbook.plan.planner import make
from drillbook.plan.restorable import Restorable
from drillbook.plan.spec import load
from drillbook.sdk.web import ask
from tests.e2e.controllers import eventually, eventually_healthy, journal_of, start, wait_for
from tests.e2e.test_handbook import well


@dataclass(frozen=True)
class Row:
    """Without the step ``taken`` of ``drill``, or with ``instead`` in its place, exactly one of the steps ``said``
    fails.
    """

    drill: str
    taken: str
    said: tuple[str, ...]
    instead: dict[str, Any] | None = None

    def __str__(self):
        return f"{self.drill}: {self.taken}{' (another in its place)' if self.instead else ''}"


NEEDED = [
    Row("api-down", "Start the API", ("The API runs",)),
    Row("port-taken", "End the program that holds the port", ("Start the API",)),
    Row("port-taken", "Start the API", ("The API runs",)),
    Row("env-missing", "Put the env file back", ("Start the API with it",)),
    Row("env-missing", "Start the API with it", ("The API runs with its settings",)),
    Row("dependency-down", "Start the database", ("The database takes writes",)),
    Row("dependency-down", "Start the cache", ("The cache serves",)),
    Row("connections-exhausted", "End the sessions of that program", ("Connections are below the alert",)),
    Row("connections-exhausted", "Raise the API's pool, and restart it", ("The API has the larger pool",)),
    Row("slow-query", "Make the index again, while others write", ("The query uses its index",)),
    Row("idle-in-transaction", "End that session", ("Writes work",)),
    Row("network-cut", "Open the path", ("The path is open",)),
    Row("api-slow", "Put the good settings back", ("Nineteen of twenty users wait hardly longer than before",)),
    Row("api-slow", "Start the API with them, and with more workers", ("More workers serve",)),
    Row("memory-leak", "Limit the cache, and start the API", ("It serves again",)),
    # Only a start: with the leak, the API may be killed again before its first answer.
    Row(
        "memory-leak",
        "Limit the cache, and start the API",
        ("It serves again", "Its memory stays where it is"),
        {"service.start": {"service": "api"}, "name": "Start the API"},
    ),
]
"""The fault of this drill is undone at the end, whether or not anything was restored."""
LOOK = {"service.status": {"service": "originals"}, "name": "Look on"}
NOTHING = {"command.run": {"argv": ["true"], "effect": "write"}, "hosts": "app-1", "name": "Change nothing"}
LOST = [
    Row("data-orphans", "Bring back these rows alone", ("No completed document is without chunks",), NOTHING),
    Row("cache-lost", "Put the save back and restart the cache", ("Every key equals the save",), NOTHING),
    Row("database-lost", "Recover to the log's end", ("The database takes writes",), NOTHING),
    Row("full-drill", "Restore the database", ("Every table equals the backup",), NOTHING),
]
"""Drills that lose data for good without the step; a command without effect replaces it."""
NOT_NEEDED = {
    ("slow-query", "Take the statistics anew"): "the table kept its statistics when it lost its index; see the drill",
}
ELSEWHERE = {("vectors-diverged", "Index what is missing, delete what has no row")}
"""Drills that test_vectors.py tests."""


def titled(data, phase):
    return [step["name"] for step in data.get(phase, ())]


def without(bench, row):
    """Return the drill without the step, or with a replacement.

    Steps that would only take time are removed: the diagnosis, alerts, steps after the verification that must fail,
    and long timeouts. There is no cleanup, so that only the undo restores the state.
    """
    data = yaml.safe_load(bench.text(row.drill))
    assert row.taken in titled(data, "restore")
    data["restore"] = [row.instead if step["name"] == row.taken else step for step in data["restore"]]
    data["restore"] = [step for step in data["restore"] if step]
    data["detect"] = [step for step in data.get("detect", ()) if not step.keys() & SLOW]
    last = max((number for number, name in enumerate(titled(data, "verify")) if name in row.said), default=0)
    data["verify"] = data["verify"][: last + 1]
    if data["verify"][last]["name"] in row.said and "every" in data["verify"][last]:
        data["verify"][last]["timeout"] = "3s"
    for phase in ("diagnose", "cleanup"):  # the undo restores everything that a cleanup would
        data.pop(phase, None)
    return {key: value for key, value in data.items() if value}


SLOWED_S = 0.8
"""Time that each document takes while `api-slow` is active; otherwise it takes milliseconds."""
SLOW = {"prometheus.alert_fires", "alertmanager.received", "http.load"}


def planned(bench, data):
    path = bench.changed(data["drill"])
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return make(load(path), bench.inventory)


def assert_that_it_said_so(view, row):
    wrong = [step.name for step in view.steps if step.result.status not in ("done", "skipped")]
    assert wrong, view.result.reason
    assert set(wrong) <= set(row.said), [(step.name, step.message) for step in view.steps if step.name in wrong]
    broken = [step.result.status for step in view.steps if step.phase == "inject"]
    assert set(broken) == {"done"}, "it was broken as meant"


def as_it_is(bench):
    """Settings of the API in its file, those of the running process, and whether it answers quickly."""
    answer = ask(f"{bench.value('api.url')}/api/v1/documents/1", timeout=10)
    return (
        Path(str(bench.value("api.env_file"))).read_text(),
        ask(f"{bench.value('api.url')}/capacity", timeout=10).body,
        answer.status,
        answer.seconds > SLOWED_S,
    )


@pytest.mark.long(12)
@pytest.mark.parametrize("row", NEEDED, ids=str)
def test_without_the_step_it_does_not_pass_and_the_lab_is_left_well(bench, row):
    well(bench)
    before = as_it_is(bench)
    _, view = bench.run(planned(bench, without(bench, row)))
    assert view.result.exit in (1, 3), view.result.reason
    assert_that_it_said_so(view, row)
    assert view.result.residue == ()
    well(bench)
    assert as_it_is(bench) == before


@pytest.mark.long(25)
@pytest.mark.parametrize("rows", [LOST[:3], LOST[3:]], ids=lambda rows: ", ".join(row.drill for row in rows))
def test_without_the_restore_nothing_is_lost(bench, rows, monkeypatch):
    """A runbook that does not restore the proven backup is detected before anything is destroyed, even if its plan
    was accepted.
    """
    monkeypatch.setattr(
        Restorable, "check", lambda rules: None
    )  # like an older version, whose plans did not check the restore
    for row in rows:
        well(bench)
        _, view = bench.run(planned(bench, without(bench, row)))
        assert view.result.exit == 3, view.result.reason
        assert "no fault was injected" in view.result.reason
        assert view.result.residue == ()
        well(bench)


@pytest.mark.parametrize("row", LOST, ids=str)
def test_without_the_restore_nothing_is_even_planned(bench, row):
    with pytest.raises(PlanError, match="does not restore the data that inject"):
        planned(bench, without(bench, row))
    data = without(bench, replace(row, instead=None))
    assert "restore" not in data
    with pytest.raises(PlanError, match="no restore phase"):
        planned(bench, data)
    with pytest.raises(PlanError, match="or only reads"):
        planned(bench, without(bench, replace(row, instead=LOOK)))


def test_no_step_of_a_remedy_is_left_out(bench):
    names = yaml.safe_load(bench.text("handbook"))["drills"]
    steps = {(name, step) for name in names for step in titled(yaml.safe_load(bench.text(name)), "restore")}
    assert steps == {(row.drill, row.taken) for row in [*NEEDED, *LOST]} | NOT_NEEDED.keys() | ELSEWHERE


@pytest.mark.long(20)
def test_a_remedy_for_the_time_of_the_drill_is_put_back_when_its_controller_dies(bench):
    """Without a recovery, the machine itself restores the old settings, and the API runs with them."""
    row = Row("connections-exhausted", "End the sessions of that program", (), LOOK)
    data = without(bench, row)
    data["guard"]["lease"] = "5s"
    data["verify"] = [{"command.run": {"argv": ["sleep", "60"], "effect": "read"}, "hosts": "app-1", "timeout": "90s"}]
    bench.project.drill_names()[row.drill].write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    settings = Path(str(bench.value("api.env_file")))
    well(bench)
    before = settings.read_text()
    controller = start(bench, "drill", row.drill, "--quiet")
    try:
        folder = wait_for(bench, controller, "step.started", "verify.1")
        assert "DATABASE_POOL_SIZE=20" in settings.read_text()
    finally:
        controller.send_signal(signal.SIGKILL)
        controller.communicate()
    assert {event["step"] for event in journal_of(folder) if event["kind"] == "intent"} >= {"inject.1", "restore.2"}
    assert eventually(lambda: settings.read_text() == before, seconds=60)
    assert eventually_healthy(bench, seconds=60)
    assert bench.recover(folder) == []
    assert settings.read_text() == before
    well(bench)
