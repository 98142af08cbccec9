"""Verdicts and their exit statuses."""

from drillbook.exits import Exit
from drillbook.judge.verdicts import EXIT, Verdict


def test_only_a_passed_run_ends_with_status_0():
    assert {verdict for verdict in Verdict if EXIT[verdict] == Exit.OK} == {Verdict.PASSED}


def test_a_run_without_a_proof_is_told_from_one_that_failed():
    unverified = {verdict for verdict in Verdict if EXIT[verdict] == Exit.UNVERIFIED}
    assert unverified == {Verdict.INCONCLUSIVE, Verdict.NOT_RUN}
    assert EXIT[Verdict.FAILED] == Exit.FAILED
