"""Finished runs that are judged again, and the verdict of their suite: the worst one of its drills."""

import shutil
from types import SimpleNamespace

import pytest

from drillbook.errors import JournalError
from drillbook.exits import Exit
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.result import SuiteResult, Verdict
from drillbook.project.finished_runs import judged, rejudged, suite_of
from drillbook.report.formats import as_json
from tests.report import samples

SUITE = SuiteResult(
    run="20260110T120000.000Z-all-0001",
    suite="all",
    title="All",
    environment="lab",
    verdict=Verdict.PASSED,
    exit=0,
    started="2026-01-10T12:00:00.000000Z",
    finished=None,
    drills=("one", "two"),
    runs=(),
)


def run(folder, name):
    folder.mkdir(exist_ok=True)
    shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / FILE)
    return judged(RunState(folder))


def test_a_run_is_judged_from_its_journal_alone(tmp_path):
    assert run(tmp_path / "run", "passed").result.verdict is Verdict.PASSED
    assert run(tmp_path / "run", "failed").result.verdict is Verdict.FAILED


def test_a_journal_that_is_not_that_of_a_run_is_an_error(tmp_path):
    lines = (samples.JOURNALS / "passed.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / FILE).write_bytes(lines[1])
    with pytest.raises(JournalError):
        judged(RunState(tmp_path))


@pytest.mark.parametrize(
    ("names", "verdict", "status"),
    [
        (("passed", "passed"), Verdict.PASSED, Exit.OK),
        (("passed", "failed"), Verdict.FAILED, Exit.FAILED),
        (("passed", "inconclusive"), Verdict.INCONCLUSIVE, Exit.UNVERIFIED),
        (("passed",), Verdict.INCONCLUSIVE, Exit.UNVERIFIED),
        (("stuck", "passed"), None, Exit.RESIDUE),
    ],
    ids=["all passed", "one failed", "one inconclusive", "one did not run", "one left changes"],
)
def test_a_suite_has_the_worst_verdict_of_its_drills(tmp_path, names, verdict, status):
    views = [run(tmp_path / f"{number}", name) for number, name in enumerate(names)]
    again = rejudged(SUITE, views)
    assert again.exit == status
    assert again.verdict == (verdict or views[0].result.verdict)
    assert [one["drill"] for one in again.runs] == [view.result.drill for view in views]


def test_a_drill_that_could_not_run_here_makes_its_suite_inconclusive(tmp_path):
    view = run(tmp_path / "run", "passed")
    lacking = SimpleNamespace(result=view.result.model_copy(update={"verdict": Verdict.NOT_RUN}))
    assert rejudged(SUITE, [view, lacking]).verdict is Verdict.INCONCLUSIVE


def test_the_suite_of_a_run_is_found_once_it_has_a_result(tmp_path):
    inner = tmp_path / SUITE.run / "20260110T120001.000Z-one-0001"
    inner.mkdir(parents=True)
    assert suite_of(inner, RunStates()) is None
    (tmp_path / SUITE.run / "result.json").write_text(as_json(SUITE.model_dump(mode="json", by_alias=True)))
    assert suite_of(inner, RunStates()) == SUITE
    (tmp_path / SUITE.run / "result.json").write_text(as_json({"drill": "one"}))
    assert suite_of(inner, RunStates()) is None
