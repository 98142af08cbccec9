"""The run of a drill that decides its verdict in an audit."""

from types import SimpleNamespace

import pytest

from drillbook.audit.deciding_runs import deciding


@pytest.mark.parametrize(
    ("verdicts", "decides"),
    [
        ("passed", 0),
        ("passed refused", 1),
        ("passed failed aborted", 1),
        ("failed refused aborted", 0),
        ("failed aborted passed", 2),
        ("aborted refused refused", 0),
        ("inconclusive refused", 0),
        ("aborted inconclusive refused", 1),
        ("aborted passed refused", 2),
        ("refused aborted", 1),
    ],
)
def test_a_refused_run_tried_nothing_and_a_failed_one_counts_until_one_passes_or_fails(verdicts, decides):
    runs = [SimpleNamespace(drill="sample", verdict=verdict) for verdict in verdicts.split()]
    assert deciding(runs) == {"sample": runs[decides]}
