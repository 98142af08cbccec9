"""Findings about objectives: the target in readable units, and a remedy that fits the run."""

from __future__ import annotations

from drillbook.report import objective_figures, rows, wording
from tests.report import samples


def remedy(name: str, code: str) -> str:
    result = samples.recorded(name).result
    alone = result.model_copy(update={"findings": tuple(one for one in result.findings if one.code == code)})
    return next(one.remedy for one in rows.findings_of(alone))


def test_the_remedy_of_a_missed_objective_names_the_slowest_phase() -> None:
    assert remedy("too_slow", "objective-missed").startswith(
        "The slowest phase was restore, 0.30 s of 0.40 s. Shorten this phase, or"
    )
    assert remedy("failed", "objective-not-verified").startswith(
        "Correct the problem that is named above, and run the drill again."
    )


def test_a_run_whose_controller_died_names_what_it_did_not_do_itself_and_a_fitting_remedy() -> None:
    assert remedy("killed", "objective-not-verified").startswith("Run the drill again: the controller of this run died.")
    result = samples.recorded("killed").result
    for recorded, shown in objective_figures.IN_RUN.items():
        rto = result.objectives["rto"].model_copy(update={"reason": f"{recorded} x"})
        told = result.model_copy(update={"objectives": {"rto": rto}, "unmeasured": {}})
        assert rows.rows_of(told)[0].reason == f"{shown} x"
        assert wording.unmeasured(told, "rto") == f"{shown} x"
        alive = told.model_copy(update={"reason": "it was stopped"})
        assert rows.rows_of(alive)[0].reason == f"{recorded} x"


def test_the_target_in_a_finding_has_the_units_of_the_table() -> None:
    known = samples.failed().result
    alone = tuple(one for one in known.findings if one.code in rows.UNPROVEN)  # without the finding that is the cause
    found = rows.findings_of(known.model_copy(update={"findings": alone}))
    assert "at most 2 min" in {one.wanted for one in found}
    assert not any("120 s" in one.wanted for one in found)
