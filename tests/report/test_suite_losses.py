"""The report of a suite tells beside each drill what it lost, and that a rehearsal restored no routine backup; lists and the index tell
beside the suite what its drills lost.
"""

from __future__ import annotations

import dataclasses

from drillbook.judge.result import RunView, SuiteResult, Verdict
from drillbook.report import html, index, markdown, remarks
from drillbook.report.earlier_losses import of_drills
from drillbook.sdk.action import REMOVED, RESTORED
from tests.report import samples
from tests.report.rehearsed import BACKUP, view
from tests.report.test_agreement import plain

ROWS = "rows of public.chunks in database"
LOST = "at least 3 rows lost"


def lossy(verdict: Verdict, *, measured: bool = True) -> RunView:
    """Run in which 3 of the removed rows did not come back."""
    facts = {"inject.1": {REMOVED: {ROWS: 10}}, "restore.1": {RESTORED: {ROWS: 7}}}
    known = samples.recorded("passed")
    steps = tuple(step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in known.result.steps)
    goals = known.result.objectives
    if not measured:
        goals = {**goals, "rpo": goals["rpo"].model_copy(update={"measured_s": None, "met": None, "reason": "stopped"})}
    changed = {"steps": steps, "verdict": verdict, "objectives": goals, "drill": "table-dropped"}
    return known.model_copy(update={"result": known.result.model_copy(update=changed)})


def of(*views: RunView) -> tuple[SuiteResult, list[RunView]]:
    runs = tuple({"run": one.result.run, "drill": one.result.drill, "folder": "x", "verdict": "passed"} for one in views)
    return samples.suite()[0].model_copy(update={"runs": runs}), list(views)


def table(suite: SuiteResult, views: list[RunView]) -> str:
    return plain(html.render_suite(suite, views).split('<h2 id="drills">')[1].split("</section>")[0])


def test_a_drill_that_lost_data_says_so_once_in_its_row() -> None:
    for run in (lossy(Verdict.ABORTED), lossy(Verdict.ABORTED, measured=False), lossy(Verdict.PASSED)):
        assert table(*of(run)).count("3 rows lost") == 1
        part = plain(markdown.render_suite(*of(run)).split("table-dropped: ")[1])
        assert LOST in part
    assert f"! {LOST}" in table(*of(lossy(Verdict.ABORTED, measured=False)))


def test_a_rehearsal_of_no_routine_backup_has_its_sign_with_the_meaning_below_the_table() -> None:
    during = view(restored={"backup": BACKUP | {"taken_during": "cache-lost"}})
    shown = table(*of(during))
    assert remarks.AT_VERDICT in shown
    assert remarks.NOT_ROUTINE in shown
    assert remarks.AT_VERDICT in plain(markdown.render_suite(*of(during)))
    failed = during.model_copy(update={"result": during.result.model_copy(update={"verdict": Verdict.FAILED})})
    for other in (failed, view()):
        assert remarks.EARLIER_MARK not in table(*of(other)).replace(remarks.EARLIER_MARK + " no drill", "")


def test_the_loss_of_a_suite_names_the_drill_or_the_drills() -> None:
    assert of_drills([("a", ""), ("b", LOST)]) == f"{LOST} in b"
    assert of_drills([("a", LOST), ("b", LOST)]) == "data lost in a and b"
    assert of_drills([(name, LOST) for name in "abcd"]) == "data lost in 4 drills"
    assert of_drills([("a", "")]) == ""


def test_the_index_names_the_loss_beside_the_suite() -> None:
    child = index.entry(lossy(Verdict.ABORTED).result.model_dump(mode="json", by_alias=True))
    suite = next(entry for entry in samples.entries() if entry.kind == "suite")
    page = index.render([dataclasses.replace(suite, children=(child,))])
    row = plain(page.split('id="runs"')[1].split(f"<bdi>{suite.name}</bdi>")[1].split("</tr>")[0])
    assert f"! {LOST} in table-dropped" in row
    assert "lost" not in plain(index.render([suite]).split('id="runs"')[1].split("</tr>")[1])
