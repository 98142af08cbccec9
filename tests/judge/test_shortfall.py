"""Data that a fault removed and that did not come back: as a finding, in the headline, and beside the RPO."""

import json

import pytest

from drillbook.judge.result import Verdict
from drillbook.judge.shortfall import shortfalls
from drillbook.report import headlines, html, index, open_findings, remarks, rows
from tests.judge.test_judge import Story
from tests.report.test_agreement import plain

CHUNKS = "rows of public.chunks in database"
LOSS = f"at least 3 of the 118795 {CHUNKS} that the fault removed did not come back"


def removed(number, what=CHUNKS):
    return ("inject.1", {"removed_data": {what: number}})


def restored(number, what=CHUNKS, step="restore.1"):
    return (step, {"restored_data": {what: number}})


@pytest.mark.parametrize(
    ("done", "missing"),
    [
        ([removed(5), restored(2)], [(CHUNKS, 5, 2, "restore.1")]),
        ([removed(5), restored(0)], [(CHUNKS, 5, 0, "restore.1")]),
        ([removed(5), restored(2), restored(2, step="restore.2")], [(CHUNKS, 5, 4, "restore.2")]),
        ([removed(5), removed(5), restored(5)], [(CHUNKS, 10, 5, "restore.1")]),
        ([removed(5), restored(2), restored(3, step="restore.2")], []),
        ([removed(5), restored(6)], []),
        ([removed(5)], []),
        ([removed(5), restored(4, "rows of public.chunks in another")], []),
        ([restored(4)], []),
        ([("inject.1", {"removed_data": 5, "rows": 5}), restored(4)], []),
        ([("inject.1", {"rows": 118795}), ("restore.1", {"rows": 118792})], []),
    ],
)
def test_only_kinds_of_data_that_both_steps_counted_are_compared(done, missing):
    assert [(one.what, one.removed, one.restored, one.step) for one in shortfalls(done)] == missing


def told(tmp_path, back):
    story = Story(tmp_path).good()
    for index_, event in enumerate(story.events):
        for step, facts in (removed(118795), restored(back)):
            if (event.kind, event.step) == ("done", step):
                story.change(index_, facts=facts)
    return story.judge()


def test_lost_rows_are_an_open_finding_in_the_headline_and_a_reservation_of_the_rpo(tmp_path):
    view = told(tmp_path, 118792)
    (found,) = [one for one in view.result.findings if one.code == "removed-data-missing"]
    assert (found.severity, found.step, found.measured) == ("medium", "restore.1", f"118792 came back: {LOSS}")
    assert view.result.verdict is Verdict.PASSED
    assert open_findings.beside("passed", open_findings.as_shown(view.result.findings, view.result.objectives))
    assert LOSS in headlines.sentence(view)
    assert "none of the canary's " in headlines.sentence(view)
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert (row.state, row.mark) == (remarks.RESERVED, f" {remarks.SHORT_MARK}")
    assert f"{LOSS[1:]}; {remarks.MAY_NOT_COUNT}." in row.remark
    page = plain(html.render(view))
    assert page.count(LOSS) >= 2
    assert "measured and met, the RPO with a reservation" in page
    entry = index.entry(json.loads(view.result.model_dump_json(by_alias=True)))
    assert plain(index.render([entry])).count(remarks.LEGENDS[remarks.SHORT_MARK]) == 1


def test_a_complete_restore_has_neither(tmp_path):
    view = told(tmp_path, 118795)
    assert "removed-data-missing" not in {one.code for one in view.result.findings}
    assert "did not come back" not in headlines.sentence(view)
    (row,) = [one for one in rows.rows_of(view.result) if one.key == "rpo"]
    assert (row.state, row.mark) == ("met", "")


def test_the_remark_on_lost_rows_comes_before_the_one_on_the_backup():
    steps = [
        remarks.Step("backup.1", "postgres.dump", "done", {"identity": {"manifest": "aa"}, "location": "s3://b/today"}),
        remarks.Step("inject.1", "postgres.drop_table", "done", removed(118795)[1]),
        remarks.Step("restore.1", "postgres.restore_table", "done", {"made": {"manifest": "aa"}} | restored(118792)[1]),
    ]
    told = remarks.of_run(steps, "2026-01-02T10:00:00Z")["rpo"]
    assert told.mark == f" {remarks.SHORT_MARK}{remarks.MARK}"
    assert told.text == f"A{LOSS[1:]}; {remarks.MAY_NOT_COUNT}. {remarks.OWN_BACKUP}"
    assert remarks.legend([told.mark]).count(remarks.SHORT_MARK) == 1
    assert remarks.OWN_BACKUP in remarks.legend([told.mark])
