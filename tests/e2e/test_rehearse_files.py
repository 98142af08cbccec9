"""Rehearsal of a team's own backups of files: every file is verified in a sandbox, and a damaged backup fails."""

from pathlib import Path

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from tests.needs import need


def test_the_newest_snapshot_is_restored_compared_and_removed(bench):
    need("restic")
    site = Path(bench.value("site.path"))
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    folder, view = bench.run(bench.plan("rehearse-files"))
    result = view.result
    assert result.verdict is Verdict.PASSED, (result.reason, [one.measured for one in result.findings])
    facts = {step.id: step.facts for step in result.steps}
    assert facts["backup.2"]["files"] == {str(site): len(before)}
    assert facts["verify.1"]["compared"] == len(before)
    assert 0 < facts["restore.1"]["seconds"]["restore_and_verify"] <= facts["restore.1"]["seconds"]["total"]
    assert facts["restore.1"]["unreachable"]
    assert {event.step for event in read(folder / FILE).events if event.kind == "undone"} == {"backup.1", "restore.1"}
    assert not Path(bench.value("sandbox.site")).exists()
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before


def test_a_file_that_the_job_leaves_out_fails_the_rehearsal(bench):
    """Restic's own verification reports no problem."""
    need("restic")
    left_out = ('--no-cache "$1"', '--no-cache --exclude 7.html "$1"')
    _, view = bench.run(bench.plan("rehearse-files", left_out))
    assert view.result.verdict is Verdict.FAILED
    [found] = view.result.findings
    assert (found.code, found.title.rpartition("/")[2]) == ("file-missing", "7.html")
    assert {step.id: step.status for step in view.result.steps}["backup.2"] == "done"
    assert not Path(bench.value("sandbox.site")).exists()
