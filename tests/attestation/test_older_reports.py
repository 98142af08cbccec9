"""Reports of another version: their digests are the attested ones, and their figures those of the journal."""

import json
import shutil
from pathlib import Path

import pytest

from drillbook.attestation import older_reports, run_verification
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunState, RunStates
from drillbook.project import finished_runs
from drillbook.report import formats
from drillbook.values import digest
from tests.needs import need

GOLDEN = Path(__file__).parents[1] / "golden" / "attested"
RUNS = sorted(path.parent.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("journal.jsonl"))
ATTESTATION = "attestation.json"


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "attested"))


def reports_of(folder, root):
    return next(check for check in run_verification.verify(folder, root, RunStates()).checks if check.what == "reports")


@pytest.mark.parametrize("name", RUNS)
def test_the_journal_of_an_older_version_gives_the_same_result_in_other_words(name):
    now = json.loads(formats.of_run(finished_runs.judged(RunState(GOLDEN / name)))[RESULT])
    stored = json.loads((GOLDEN / name / RESULT).read_text())
    assert [*older_reports.differences(stored, now)] == []
    assert stored.keys() == now.keys()
    assert stored["reason"] != now["reason"] or stored["unmeasured"] != now["unmeasured"], "otherwise this shows nothing"


def test_everything_that_an_older_version_signed_is_verified(old):
    need("ssh-keygen")
    for run in (old / "reports").iterdir():
        assert run_verification.verify(run, old, RunStates()).mark is run_verification.Mark.GOOD


@pytest.mark.parametrize("name", ["report.html", "result.json", "junit.xml"])
def test_a_changed_report_of_an_older_version_is_not_verified(old, name):
    run = next(path for path in (old / "reports").iterdir() if (path / "evidence").exists())
    with (run / name).open("a") as file:
        file.write(" ")
    said = reports_of(run, old)
    assert said.mark is run_verification.Mark.UNKNOWN
    assert f"not as attested: {name}" in said.said
    assert run_verification.verify(run, old, RunStates()).mark is run_verification.Mark.WRONG


def test_a_figure_that_the_journal_does_not_give_is_not_verified_although_it_is_attested(old):
    run = next(path for path in (old / "reports").iterdir() if (path / "evidence").exists())
    result = json.loads((run / RESULT).read_text())
    result["exit"], result["reason"] = 9, "in other words"
    (run / RESULT).write_text(json.dumps(result))
    attested = json.loads((run / ATTESTATION).read_text())
    attested["files"][RESULT]["sha256"] = digest((run / RESULT).read_bytes())
    (run / ATTESTATION).write_text(json.dumps(attested))
    said = reports_of(run, old)
    assert (said.mark, said.said.rpartition("; ")[2]) == (
        run_verification.Mark.UNKNOWN,
        "result.json differs from the journal in: exit",
    )


@pytest.mark.parametrize(
    ("stored", "now", "wanted"),
    [
        ({"a": "all went well"}, {"a": "everything went well", "new": 1}, []),
        ({"a": "passed"}, {"a": "failed"}, ["a"]),
        ({"a": "passed"}, {"a": "it failed"}, ["a"]),
        ({"a": {"b": 1.0}}, {"a": {"b": 1.5}}, ["a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": 0}]}, ["a[1].b"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
    ],
)
def test_words_may_differ_and_figures_may_not(stored, now, wanted):
    assert [*older_reports.differences(stored, now)] == wanted
