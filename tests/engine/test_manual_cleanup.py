"""Cleanup by hand after a damaged journal: what the intact lines tell about changes, hosts and leases."""

import shutil

import pytest

from drillbook.engine import manual_cleanup
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState
from tests.report import samples


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "20260110T120000.000Z-sample-0001"
    folder.mkdir()
    return folder


def damaged(folder, name, number):
    """Instructions for a recorded run of which one line was changed, counted from the end if negative."""
    shutil.copy(samples.JOURNALS / f"{name}.jsonl", folder / FILE)
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b'"clock":', b'"clock":1', 1)
    (folder / FILE).write_bytes(b"".join(lines))
    return manual_cleanup.steps(RunState(folder))


def test_a_change_that_no_line_reports_as_undone_is_told_with_its_commands(run):
    told = damaged(run, "killed", -1)
    text = "\n".join(told)
    assert "the line was changed" in told[0]
    assert "the hosts of the run: a, b" in told
    assert (
        "1. a: pretend.break (inject.1) was announced, but no line reports its undo. If the change is still there:" in told
    )
    assert f"   at the very end, on a: rm -rf /var/tmp/drillbook/runs/{run.name}" in told
    assert f"/leases/{run.name}" in text
    assert told[-1].endswith(f"move {run} out of reports/ and keep it; until then, drills on these hosts are refused")


def test_where_every_announced_change_was_undone_further_ones_are_still_possible(run):
    text = "\n".join(damaged(run, "passed", -1))
    assert "was announced, but" not in text
    assert (
        "every change that the intact lines announce was undone; the damaged lines may have announced further changes"
        in text
    )


def test_without_the_first_line_every_host_is_named_as_possible(run):
    told = damaged(run, "killed", 0)
    assert any("check every host that a drill of this project has used" in line for line in told)
    assert f"   lease=STATE/leases/{run.name}   # STATE: the folder of leases on the host, see" in "\n".join(told)
    assert told[-1].endswith("drills on any hosts are refused")
