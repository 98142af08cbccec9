"""Verdicts and their exit statuses."""

from types import SimpleNamespace

import pytest

from drillbook.exits import Exit
from drillbook.judge.verdicts import EXIT, Verdict, without_refused


def test_only_a_passed_run_ends_with_status_0():
    assert {verdict for verdict in Verdict if EXIT[verdict] == Exit.OK} == {Verdict.PASSED}


def test_a_run_without_a_proof_is_told_from_one_that_failed():
    unverified = {verdict for verdict in Verdict if EXIT[verdict] == Exit.UNVERIFIED}
    assert unverified == {Verdict.INCONCLUSIVE, Verdict.NOT_RUN}
    assert EXIT[Verdict.FAILED] == Exit.FAILED


@pytest.mark.parametrize(
    ("verdicts", "shown"),
    [
        ("refused aborted", "aborted"),
        ("refused refused failed refused", "failed refused"),
        ("refused passed", "refused passed"),
        ("refused passed+ failed", "passed+ failed"),
        ("refused unfinished aborted", "unfinished aborted"),
        ("refused", "refused"),
        ("refused running aborted", "refused running aborted"),
        ("aborted refused", "aborted refused"),
        ("", ""),
    ],
)
def test_a_refused_run_tried_nothing(verdicts, shown):
    """Runs are newest first. The sign + stands for changes that remain."""
    runs = [SimpleNamespace(word=word, verdict=word.rstrip("+"), left=word.endswith("+")) for word in verdicts.split()]
    assert " ".join(run.word for run in without_refused(runs)) == shown
