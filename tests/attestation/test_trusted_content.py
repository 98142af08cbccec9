"""Standing of a run's folder: what a trusted key signed of the journal that the task has read."""

import json
import shutil
from pathlib import Path

import pytest

from drillbook.attestation import trusted_content
from drillbook.journal.journal import FILE
from drillbook.journal.run_state import RunState
from tests.attestation.forging import chained

GOLDEN = Path(__file__).parents[1] / "golden" / "attested"
NAME = "20261127T180155.356Z-sample-e40f"


@pytest.fixture
def run(tmp_path):
    shutil.copytree(GOLDEN / "inventory", tmp_path / "inventory")
    return Path(shutil.copytree(GOLDEN / "reports" / NAME, tmp_path / "reports" / NAME))


def looked(run, data, later):
    """Read the journal while it has the content ``data``, and then the attestation while it has the content ``later``."""
    (run / FILE).write_bytes(data)
    state = RunState(run)
    assert state.data == data
    (run / FILE).write_bytes(later)
    return trusted_content.of_run(state, run.parents[1])


def test_a_run_that_ended_after_its_journal_was_read_is_signed(run):
    data = (run / FILE).read_bytes()
    begun = b"".join(data.splitlines(keepends=True)[:5])
    found = looked(run, begun, data)
    assert (found.doubt, found.unvouched, found.events) == ("", "", len(data.splitlines()))


def test_events_after_the_signed_ones_are_told_as_lines_of_the_journal(run):
    data = (run / FILE).read_bytes()
    events = [json.loads(line) for line in data.splitlines()]
    (run / FILE).write_bytes(chained([*events, events[-1]]))
    found = trusted_content.of_run(RunState(run), run.parents[1])
    assert found.unvouched == f"1 event after the signed events, from line {len(events) + 1} on"


@pytest.mark.parametrize("later", ["as it was read", "another journal", "gone"])
def test_a_journal_whose_end_was_cut_off_is_doubtful(run, later):
    data = (run / FILE).read_bytes()
    cut = b"".join(data.splitlines(keepends=True)[:5])
    other = cut.replace(b'"seq":2', b'"seq":3') + data[len(cut) :]
    found = looked(run, cut, {"as it was read": cut, "another journal": other, "gone": b""}[later])
    assert found.doubt == "the journal does not continue the attested journal"
    assert found.sealed is None
