"""Table of a suite's drills: each loss of data beside the RPO that allows it, and one explanation of all symbols."""

from __future__ import annotations

import re

from drillbook.judge.result import Verdict
from drillbook.report import suites
from drillbook.report.remarks import MARK, SHORT_MARK, WHY
from drillbook.report.terminal import summary
from drillbook.sdk.action import REMOVED, RESTORED
from tests.report import renderings, samples
from tests.report.test_summary import quarterly

ROWS = "rows of public.chunks in database"


def ending(*views, width=80):
    """Lines of the end of a suite that passed."""
    suite, _ = quarterly()
    runs = tuple({"run": view.result.run, "drill": view.result.drill, "folder": "x", "verdict": "passed"} for view in views)
    passed = suite.model_copy(update={"verdict": Verdict.PASSED, "exit": 0, "runs": runs})
    return renderings.printed(summary.suite_ending(passed, views, "reports/x/report.html"), width).splitlines()


def drill(name, **more):
    return samples.view(samples.result(run=name, drill=name, **more))


def kept(name):
    """Drill that lost nothing."""
    objectives = samples.passed().result.objectives
    rpo = objectives["rpo"].model_copy(update={"lost_writes": 0})
    return drill(name, objectives={**objectives, "rpo": rpo})


def test_a_drill_that_lost_data_says_how_much_beside_its_rpo_and_the_last_lines_say_that_this_is_allowed():
    lines = ending(drill("postgres-lost"), kept("objects-deleted"))
    heads = next(line for line in lines if line.startswith("  drill "))
    assert re.search(r"RPO +data lost ", heads)
    (lossy,) = [line for line in lines if line.startswith("  postgres-lost ")]
    assert re.search(rf"~ 12\.90 s {MARK}  +129 writes  +\u2713 1\.81 s$", lossy)
    (whole,) = [line for line in lines if line.startswith("  objects-deleted ")]
    assert re.search(r"12\.90 s \u2020? +none +", whole)
    said = " ".join(" ".join(lines).split())
    assert "2 drills: 2 passed. Data lost, less than the RPO allows: postgres-lost." in said
    assert lines[-1].startswith("\u2713 PASSED")


def test_a_suite_without_a_loss_has_no_column_of_losses():
    lines = ending(kept("objects-deleted"))
    assert "data lost" not in " ".join(lines).lower()


def test_a_drill_that_did_not_pass_is_not_said_to_have_lost_nothing():
    failed = kept("redis-lost")
    failed = failed.model_copy(update={"result": failed.result.model_copy(update={"verdict": Verdict.FAILED})})
    lines = ending(drill("postgres-lost"), failed)
    (row,) = [line for line in lines if line.startswith("  redis-lost ")]
    assert re.search(r"\? 12\.90 s \u2020? +- +\? ", row)


def test_there_is_one_explanation_and_it_is_one_sentence():
    lines = ending(drill("postgres-lost"), kept("objects-deleted"))
    said = " ".join(" ".join(lines).split())
    assert f"\u2713 met, ~ met with a reservation ({MARK} {WHY[MARK]})." in said
    assert said.count("reservation") == 1
    assert "The report has the error" not in said


def test_rows_that_did_not_come_back_are_in_the_column_and_are_not_called_allowed():
    facts = {"inject.1": {REMOVED: {ROWS: 10}}, "restore.1": {RESTORED: {ROWS: 7}}}
    known = samples.passed().result
    steps = tuple(step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in known.steps)
    lines = ending(drill("table-dropped", steps=steps))
    (row,) = [line for line in lines if line.startswith("  table-dropped ")]
    assert re.search(rf"~ partly {SHORT_MARK}{MARK}  +\u2265 3 rows, ", row)
    said = " ".join(" ".join(lines).split())
    assert "RPO met for the other tables only: table-dropped (at least 3 rows lost)." in said
    assert "less than the RPO allows" not in said


def test_the_line_of_a_drill_tells_the_loss_and_the_rpo_that_allows_it():
    text = renderings.printed(summary.line(samples.passed()))
    assert re.fullmatch(r"  \u2713 passed in [0-9.]+ s, 129 writes lost \(RPO 12\.90 s of 2 min allowed\)\n", text)
    assert "lost" not in renderings.printed(summary.line(kept("x")))


def test_a_missed_rpo_allows_no_loss():
    missed = samples.recorded("too_slow")
    assert "allowed" not in renderings.printed(summary.line(missed), 300)
    assert "allows" not in suites.suite_sentence(suites.suite_rows(*samples.suite())[1:])
