"""Findings about objectives: the target in readable units, and a remedy that fits the run."""

from __future__ import annotations

import re

from drillbook.findings import finding
from drillbook.judge.verdicts import CONTROLLER_DIED
from drillbook.report import objective_figures, objective_findings, open_findings, rows, wording
from tests.report import samples


def remedy(name: str, code: str) -> str:
    result = samples.recorded(name).result
    alone = result.model_copy(update={"findings": tuple(one for one in result.findings if one.code == code)})
    return next(one.remedy for one in rows.findings_of(alone))


def test_the_remedy_of_a_missed_objective_names_the_slowest_phase() -> None:
    assert remedy("too_slow", "objective-missed").startswith(
        "The slowest phase was restore, 0.30 s of 0.40 s. Shorten this phase, or"
    )
    result = samples.recorded("too_slow").result
    late = result.model_copy(update={"clocks": {**result.clocks, "rto_s": 14.3}})
    (missed,) = [each for each in rows.findings_of(late) if each.title.endswith(": RTO")]
    assert re.match(
        r"The phases up to the restore took 0\.\d+ s of 14\.3 s\. For the other 1[34]\.\d s, the restored", missed.remedy
    )
    assert remedy("failed", "objective-not-verified").startswith(
        "Correct the problem that is named above, and run the drill again."
    )


def test_a_run_whose_controller_died_names_what_it_did_not_do_itself_and_a_fitting_remedy() -> None:
    result = samples.recorded("killed").result
    first = f"First recover the run with `drillbook drill.recover {result.run}`. Then run the drill again, because the controller"
    assert remedy("killed", "objective-not-verified").startswith(first)
    over = result.model_copy(update={"finished": result.started})
    known = [one.remedy for one in rows.findings_of(over) if one.code == "objective-not-verified"]
    assert known
    assert all(one.startswith("Run the drill again: the controller of this run died.") for one in known), "it is recovered"
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


def test_objectives_of_a_dead_controller_that_lack_the_same_proof_share_a_finding() -> None:
    same = [
        finding("objective-not-verified", title=key, wanted=wanted, measured="not measured: why")
        for key, wanted in (("DETECT", "at most 5 s"), ("RPO", "at most 2 min"), ("RTO", "at most 2 min"))
    ]
    other = same[2].model_copy(update={"measured": "not measured: another reason"})
    lost = finding("acknowledged-writes-lost")
    one, kept = objective_findings.joined([*same, lost], CONTROLLER_DIED)
    assert kept == lost
    assert one.title == "3 objectives could not be verified: RTO, RPO and detection"
    assert one.wanted == "RTO at most 2 min, RPO at most 2 min, detection at most 5 s"
    assert (one.severity, one.measured) == (same[0].severity, same[0].measured)
    assert [found.wanted for found in objective_findings.joined([*same[:2], other], CONTROLLER_DIED)][1:] == [other.wanted]
    assert objective_findings.joined([*same, lost], "another") == [*same, lost]


def test_every_list_of_findings_joins_them() -> None:
    result = samples.recorded("died").result
    same = tuple(
        finding("objective-not-verified", title=key, measured="not measured: why") for key in ("DETECT", "RPO", "RTO")
    )
    result = result.model_copy(update={"findings": same})
    assert [len(told(result)) for told in (rows.findings_of, rows.findings_beside_residue)] == [1, 1]
    told = open_findings.of_result(result.model_dump(mode="json", by_alias=True))
    assert [one.title for one in told] == ["3 objectives could not be verified: RTO, RPO and detection"], "the index, too"
    ended = result.model_copy(update={"reason": "another"}).model_dump(mode="json", by_alias=True)
    assert len(open_findings.of_result(ended)) == 3
