"""A runbook that restores nothing: the run leaves residue; each remedy for it, with a real database."""

from __future__ import annotations

import pytest

from drillbook.cli import close_residue
from drillbook.cli.access import connect, redactor_for
from drillbook.engine.backup_gate import Gate
from drillbook.engine.recovery import Recovery, in_the_way
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged

MEND = """\
drill: mend
title: Bring the database back from a backup that is known
service: database
objectives: {}
guard: {environments: [lab]}
restore:
  - postgres.restore: {service: database, from: "LOCATION", closed: true}
verify:
  - postgres.matches: {service: database, manifest: "MANIFEST"}
  - postgres.admit: {service: database}
"""


@pytest.fixture(autouse=True)
def of_an_older_version(monkeypatch):
    """Gate of an older version, which did not compare the restore with the proven backup; today the fault would be
    refused.
    """
    monkeypatch.setattr(Gate, "refusals", lambda gate, steps: [])


def wrong(bench, argv):
    """Plan of a drill that loses the database, and whose runbook is a command that does not restore it."""
    plan = bench.plan("postgres-lost")
    steps = tuple(
        step.model_copy(update={"action": "command.run", "params": {"argv": argv, "effect": "write"}, "save": None})
        if step.phase == "restore"
        else step
        for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps})


def facts_of(folder, action):
    events = read(folder / FILE).events
    by = {event.step for event in events if event.kind == "step.started" and event.data["action"] == action}
    return next(event.data["facts"] for event in events if event.kind == "done" and event.step in by)


def rows(bench):
    """Number and digest of the documents created with the lab; its clients continuously write more."""
    with bench.admin() as connection:
        return connection.execute(
            "SELECT count(*), sum(hashtextextended(d::text, 0)) FROM documents d WHERE id <= 20000"
        ).fetchone()


def recover(bench, folder, **how):
    recovery = Recovery(
        folder,
        lambda plan, name: connect(plan.inventory, name),
        redactor_for,
        lambda event: None,
        others=[other for other in bench.project.runs() if other != folder],
        **how,
    )
    return recovery.run({"operator": "test", "tool": "test"})


@pytest.mark.parametrize("argv", [["true"], ["false"]], ids=["does-nothing", "fails"])
def test_a_wrong_runbook_is_recovered_from_the_proven_backup(bench, argv):
    bench.spoiled = True
    before = rows(bench)
    folder, view = bench.run(wrong(bench, argv))
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 5)
    assert recover(bench, folder), "the same runbook once more does not help"
    assert judged(RunState(folder)).result.exit == 5
    assert [one.why for one in recover(bench, folder, from_backup=True)] == []
    assert next(
        event.data["params"]["closed"]
        for event in read(folder / FILE).events
        if event.kind == "intent" and event.step == "recovery.1"
    ), "clients could write before it is compared"
    assert rows(bench) == before
    after = judged(RunState(folder))
    assert (after.result.residue, after.result.exit) == ((), 1)
    assert recover(bench, folder) == [], "there is nothing more to do"
    with bench.admin() as connection:
        assert connection.execute("SELECT datconnlimit FROM pg_database WHERE datname = 'dpa'").fetchone() == (-1,)


def test_a_drill_that_only_restores_mends_what_a_run_left(bench):
    bench.spoiled = True
    before = rows(bench)
    folder, view = bench.run(wrong(bench, ["false"]))
    assert view.result.exit == 5
    dump = facts_of(folder, "postgres.dump")
    path = bench.changed("mend")
    path.write_text(MEND.replace("LOCATION", dump["location"]).replace("MANIFEST", dump["manifest"]))
    breaking, mending = bench.plan("api-down"), bench.made(path)
    runs = list(bench.project.runs())
    assert [one.code for one in in_the_way(breaking, runs)] == ["unfinished-run"], "nothing more is broken there"
    assert in_the_way(mending, runs) == []
    assert close_residue.settle(bench.project, folder.name, "somebody restored it") == 4, "nobody did: its proof says so"
    mend, mended = bench.run(mending)
    assert (mended.result.verdict, mended.result.exit) == (Verdict.PASSED, 0), mended.result.reason
    assert rows(bench) == before
    assert recover(bench, folder) == []
    undone = [event.data["message"] for event in read(folder / FILE).events if event.kind == "undone"]
    assert f"the run {mend.name} restored the data from {dump['location']} and compared the content" in undone
    assert judged(RunState(folder)).result.residue == ()
    assert in_the_way(breaking, list(bench.project.runs())) == []
