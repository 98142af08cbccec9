"""Comparison of a run's folder with anchors."""

import json
import shutil

import pytest

from drillbook.attestation import anchor_comparison, anchor_places, run_verification
from drillbook.attestation.anchor_places import AnchorFile
from drillbook.attestation.run_verification import Mark
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunStates
from tests.attestation.test_sign_runs import SAMPLE
from tests.engine.test_runner import Bench
from tests.needs import need


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Project with two runs of a drill, and their anchors; no test changes it."""
    need("ssh-keygen")
    folder = tmp_path_factory.mktemp("anchored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        (folder / "project").mkdir()
        bench = Bench(folder / "project")
        runs = []
        for _ in range(2):
            bench.run(SAMPLE)
            runs.append(bench.folder.name)
        anchors = anchor_places.default(bench.root / "reports").read_bytes()
    return bench.root / "reports", runs, anchors


@pytest.fixture
def reports(made, tmp_path):
    """A copy of the runs, and of the file with their anchors, that tests may change."""
    (tmp_path / "anchors.jsonl").write_bytes(made[2])
    return shutil.copytree(made[0], tmp_path / "reports", symlinks=True)


def compared(reports, run, *, asked="", places=("anchors.jsonl",)):
    """Mark and text of each check that the comparison adds."""
    runs = RunStates()
    verified = run_verification.verify(reports / run, reports.parent, runs)
    kept_in = [AnchorFile(reports.parent / place) for place in places]
    whole = anchor_comparison.compared(verified, reports / run, reports, kept_in, runs, asked=asked)
    assert whole.checks[: len(verified.checks)] == verified.checks
    return [(check.mark, check.said) for check in whole.checks[len(verified.checks) :]]


def cut(reports, run):
    path = reports / run / FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def test_a_journal_that_matches_its_anchor_is_good(reports, made):
    ((mark, said),) = compared(reports, made[1][0], asked=made[1][0])
    assert mark is Mark.GOOD
    assert said.startswith("the journal matches the anchor made at ")


def test_a_journal_that_was_cut_or_rewritten_is_wrong(reports, made):
    first, second = made[1]
    cut(reports, first)
    ((mark, said),) = compared(reports, first, asked=first)
    assert (mark, "the end of the journal was cut off" in said) == (Mark.WRONG, True)
    shutil.copy(reports / first / FILE, reports / second / FILE)
    path = reports.parent / "anchors.jsonl"
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in lines:
        line["head"] = "sha256:" + "0" * 64
        line["events"] = min(line["events"], 2)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ((mark, said),) = compared(reports, second, asked=second)
    assert (mark, "the journal was rewritten" in said) == (Mark.WRONG, True)


def test_a_run_without_an_anchor_is_not_compared(reports, made):
    (reports.parent / "anchors.jsonl").write_text("")
    assert compared(reports, made[1][0]) == []


def test_a_place_that_cannot_be_read_is_told(reports, made):
    checks = compared(reports, made[1][1], places=("none.jsonl", "anchors.jsonl"))
    assert [mark for mark, _ in checks] == [Mark.UNKNOWN, Mark.GOOD]
    assert "none.jsonl does not exist" in checks[0][1]


@pytest.mark.parametrize(("asked", "told"), [("", True), ("latest", True), ("sample", True), ("another", False)])
def test_a_newer_run_that_was_deleted_is_missed_by_who_asks_for_the_newest(reports, made, asked, told):
    first, second = made[1]
    shutil.rmtree(reports / second)
    checks = compared(reports, first, asked=asked)
    assert [mark for mark, _ in checks] == [Mark.GOOD, Mark.UNKNOWN][: 1 + told]
    if told:
        assert checks[1][1].endswith(f"has anchors of 1 newer run that is missing here; the newest of them is {second}")
    assert len(compared(reports, first, asked=first)) == 1, "who asks for this very run has it"


def test_an_older_run_that_was_deleted_does_not_matter_to_the_newest(reports, made):
    first, second = made[1]
    shutil.rmtree(reports / first)
    assert [mark for mark, _ in compared(reports, second)] == [Mark.GOOD]
