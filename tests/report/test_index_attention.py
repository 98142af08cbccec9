"""The top of the index has one entry for all drills that were refused because of the same unfinished run."""

from __future__ import annotations

import dataclasses

import pytest

from drillbook.judge.result import Objective
from drillbook.report import index
from tests.report.test_dead_runs import COMMAND, DEAD, DRILLS, refused


@pytest.mark.parametrize(("exit_", "closed", "told"), [(4, "", True), (5, "", False), (4, "li", False)])
def test_a_recovered_run_says_so_at_the_top_with_the_next_step(exit_: int, closed: str, *, told: bool) -> None:
    known = index.entry(refused(DRILLS[0]).result.model_dump(mode="json", by_alias=True))
    changes = {"verdict": "aborted", "reason": "died", "findings": (), "recovered": "2026-12-01T04:41:37Z"}
    head = index.render([dataclasses.replace(known, exit=exit_, closed=closed, **changes)]).split('id="trends"')[0]
    assert ('died</bdi>; recovered since, <span class="num">2026-12-01 04:41</span>. Run the drill again.' in head) is told


@pytest.mark.parametrize("state", ["unfinished", "recovered", "residue"])
def test_the_index_has_one_block_for_all_drills_that_a_dead_run_refused(state: str) -> None:
    runs = [index.entry(refused(drill).result.model_dump(mode="json", by_alias=True)) for drill in DRILLS]
    died = index.unfinished(DEAD, runs[0].environment, alive=False)
    goal = {"rto": Objective(target_s=30, measured_s=None, error_s=None, met=None)}
    if state != "unfinished":
        died = dataclasses.replace(
            died, verdict="aborted", exit=5 if state == "residue" else 4, note="", objectives=goal, href="x/report.html"
        )
    runs[-1] = dataclasses.replace(runs[-1], started="2026-11-30T21:51:30Z")
    head = index.render([*runs, died]).split('id="trends"')[0]
    blocks = head.partition('<ul class="attention"')[2].partition("</ul>")[0].count("<li>")
    assert blocks == 1 + (state == "recovered"), "one block for one cause"
    assert all(f"<bdi>{drill}</bdi>" in head for drill in DRILLS)
    assert head.count(COMMAND) == (state != "recovered")
    assert ("was recovered since" in head) is (state == "recovered")
    told = head.partition("Refused because of it: ")[2].partition("</span>")[0]
    assert tuple(drill for drill in DRILLS if f"<bdi>{drill}</bdi>" in told) == (() if state == "recovered" else DRILLS[:-1])
    assert ("Then run them again." in told) is (state != "recovered")


@pytest.mark.parametrize("state", ["unfinished", "recovered", "residue", "failed", "passed"])
def test_a_refused_run_hides_no_run_before_it_that_must_run_again(state: str) -> None:
    """As in the lists."""
    refusal = index.entry(refused(DRILLS[0]).result.model_dump(mode="json", by_alias=True))
    refusal = dataclasses.replace(refusal, started="2026-11-30T21:51:30Z")
    before = dataclasses.replace(index.unfinished(DEAD, refusal.environment, alive=False), name=refusal.name)
    if state != "unfinished":
        word, code = {"recovered": ("aborted", 4), "residue": ("aborted", 5)}.get(state, (state, int(state == "failed")))
        before = dataclasses.replace(before, verdict=word, exit=code, note="", href="before/report.html")
    page = index.render([refusal, before])
    head, _, trends = page.partition('id="trends"')
    row = trends.partition("<tbody>")[2].partition("</tbody>")[0]
    for part in (row, head.partition("<header>")[2]):
        assert ("refused" in part) is (state == "passed")
        figures = state == "passed" and part is row  # the run of older figures has a link
        assert ("before/report.html" in part) is (state not in ("unfinished", "passed") or figures)
        assert ("> unfinished</span>" in part) is (state == "unfinished")
    assert head.count(COMMAND) == (state in ("unfinished", "residue"))
