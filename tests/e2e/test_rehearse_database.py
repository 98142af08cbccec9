"""The drill `rehearse-database` on a real lab: a dump of pg_dump is restored in a sandbox and compared; nothing is left."""

import os
from pathlib import Path

from drillbook.judge.result import Verdict


def test_the_database_is_rehearsed_in_a_sandbox_and_nothing_is_left(bench):
    _, view = bench.run(bench.plan("rehearse-database"))
    assert view.result.verdict is Verdict.PASSED, (
        view.result.reason,
        [(one.title, one.wanted, one.measured) for one in view.result.findings],
    )
    assert view.result.residue == ()
    facts = {step.id: step.facts for step in view.result.steps}
    assert facts["backup.5"]["loss_s"] >= 0
    assert facts["restore.1"]["unreachable"]
    assert facts["restore.1"]["seconds"]["total"] > 0
    assert len(facts["verify.1"]["value"]) == 32
    assert facts["verify.6"]["history"] == {
        "not_compared": "no earlier run in this environment counted the rows of this service"
    }
    assert {part["equal"] for part in facts["verify.6"]["ranges"]["public.documents"]} == {True}
    assert not Path(bench.value("sandbox.database")).exists()


def test_a_dump_that_was_cut_off_fails_the_rehearsal_before_anything_is_restored(bench):
    dump = Path(bench.value("database.dumps")) / "dpa.dump"

    def act(event):
        if event.kind == "done" and event.step == "backup.3":
            os.truncate(dump, dump.stat().st_size * 9 // 10)

    _, view = bench.run(bench.plan("rehearse-database"), observer=act)
    assert view.result.verdict is Verdict.FAILED
    assert [one.code for one in view.result.findings] == ["backup-damaged"]
    assert not Path(bench.value("sandbox.database")).exists()


def test_rows_that_the_dump_lacks_fail_the_rehearsal(bench):
    """The dump is intact, but its job left out the rows of a table."""
    _, view = bench.run(bench.plan("rehearse-database", ("--format=custom", "--format=custom --exclude-table-data=chunks")))
    assert view.result.verdict is Verdict.FAILED
    (found,) = view.result.findings
    assert (found.code, found.measured) == ("backup-incomplete", "only the definitions of 1 table: public.chunks")
    assert {step.id: step.status for step in view.result.steps}["restore.1"] == "skipped", "the check fails before it"
    assert not Path(bench.value("sandbox.database")).exists()
