"""Data that a run lost, in a few words."""

from __future__ import annotations

import pytest

from drillbook.findings import finding
from drillbook.judge.result import Verdict
from drillbook.report import lost_data
from drillbook.sdk.action import REMOVED, RESTORED
from tests.report import samples


def test_the_lost_writes_of_a_passed_run_are_allowed_by_its_rpo():
    result = samples.passed().result
    assert lost_data.lost(result) == "129 writes"
    assert lost_data.allowed(result) == "129 writes lost (RPO 12.9 s of 2 min allowed)"


@pytest.mark.parametrize(("number", "words"), [(0, "none"), (None, "")])
def test_a_run_that_lost_nothing_or_did_not_count_is_not_allowed_anything(number, words):
    result = samples.passed().result
    rpo = result.objectives["rpo"].model_copy(update={"lost_writes": number})
    result = result.model_copy(update={"objectives": {**result.objectives, "rpo": rpo}})
    assert (lost_data.lost(result), lost_data.allowed(result)) == (words, "")


def test_nothing_is_allowed_without_an_rpo_that_was_met_in_a_passed_run():
    result = samples.passed().result
    assert lost_data.allowed(result.model_copy(update={"verdict": Verdict.FAILED})) == ""
    without = result.model_copy(update={"objectives": {"rto": result.objectives["rto"]}})
    assert (lost_data.lost(without), lost_data.allowed(without)) == ("", "")
    missed = result.objectives["rpo"].model_copy(update={"met": False})
    lossy = result.model_copy(update={"objectives": {"rpo": missed}})
    assert (lost_data.lost(lossy), lost_data.allowed(lossy)) == ("129 writes", "")


WRITES = finding("acknowledged-writes-lost", wanted="none", measured="72 of 114 acknowledged writes: numbers 43 to 114")
ROWS = finding("removed-data-missing", step="restore.1", measured="9 rows were removed, 6 came back in restore.1")


def test_a_recovered_run_tells_what_it_lost_by_its_findings():
    view = samples.recorded("recovered")
    assert lost_data.after_recovery(view) == ""
    lossy = view.model_copy(
        update={"result": view.result.model_copy(update={"findings": (*view.result.findings, WRITES, ROWS)})}
    )
    assert lost_data.after_recovery(lossy) == (
        "Data lost: 72 of 114 acknowledged test writes of the drill (numbers 43 to 114); "
        "less data came back than the fault removed: 9 rows were removed, 6 came back in restore.1."
    )
    assert lost_data.after_recovery(lossy.model_copy(update={"recoveries": ()})) == "", "a run tells its RPO itself"


def whole(verdict=Verdict.PASSED, **rpo):
    """Result without a lost write."""
    result = samples.passed().result
    kept = result.objectives["rpo"].model_copy(update={"lost_writes": 0, **rpo})
    return result.model_copy(update={"verdict": verdict, "objectives": {**result.objectives, "rpo": kept}})


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.ABORTED, Verdict.INCONCLUSIVE])
def test_a_run_that_did_not_pass_perhaps_restored_nothing_so_its_loss_is_unknown(verdict):
    assert lost_data.lost(whole()) == lost_data.NONE
    assert lost_data.lost(whole(verdict)) == ""
    assert lost_data.lost(whole(met=None, reason="the verification did not run")) == ""
    known = samples.passed().result.model_copy(update={"verdict": verdict})
    assert lost_data.lost(known) == "129 writes", "a loss that was found is known"


def test_missing_rows_do_not_hide_the_lost_writes_of_the_same_run():
    facts = {
        "inject.1": {REMOVED: {"rows of public.chunks in database": 10}},
        "restore.1": {RESTORED: {"rows of public.chunks in database": 7}},
    }

    def lacking(result):
        steps = [step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in result.steps]
        return result.model_copy(update={"steps": tuple(steps)})

    assert lost_data.lost(lacking(samples.passed().result)) == "at least 3 rows, 129 writes"
    assert lost_data.lost(lacking(whole())) == "at least 3 rows"
