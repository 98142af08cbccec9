"""Table of a suite's drills: each loss of data beside the RPO that allows it, and one explanation of all symbols."""

from __future__ import annotations

import re

import pytest

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
    assert re.search(rf"~ 12\.9 s {MARK}  +129 writes  +\u2713 1\.81 s$", lossy)
    (whole,) = [line for line in lines if line.startswith("  objects-deleted ")]
    assert re.search(r"12\.9 s \u2020? +none +", whole)
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
    assert re.search(r"\? 12\.9 s \u2020? +\? +\? ", row)
    assert "  \u2713 met   ~ met with a reservation   ? does not count: the run did not pass" in lines


def without_rpo(name):
    """Drill that sets no RPO, so that nothing measures a loss."""
    objectives = {key: goal for key, goal in samples.passed().result.objectives.items() if key != "rpo"}
    return drill(name, objectives=objectives)


def test_each_sign_has_a_meaning_of_its_own_on_a_short_line():
    lines = ending(drill("postgres-lost"), kept("cache-lost"), without_rpo("objects-deleted"))
    first = lines.index("  \u2713 met   ~ met with a reservation   - not measured: the drill sets no RPO")
    assert lines[first + 1 : first + 3] == [f"  {MARK} {WHY[MARK]}", ""]
    (unset,) = [line for line in lines if line.startswith("  objects-deleted ")]
    assert re.search(r" - +- +\u2713 1\.81 s$", unset), "not the loss of a drill that lost nothing"
    narrow = ending(drill("postgres-lost"), kept("cache-lost"), without_rpo("objects-deleted"), width=60)
    first = narrow.index("  \u2713 met   ~ met with a reservation")
    assert narrow[first + 1] == "  - not measured: the drill sets no RPO", "as many meanings as have room share a line"


def test_a_sign_that_the_table_lacks_has_no_meaning():
    lines = ending(kept("cache-lost"))
    assert "  \u2713 met   ~ met with a reservation" in lines
    assert not [line for line in lines if re.match(rf"  [-?{SHORT_MARK}] ", line)]


def test_a_drill_that_asks_for_nothing_has_dashes_in_every_column():
    lines = ending(drill("postgres-lost"), drill("objects-deleted", objectives={}))
    assert "  - not measured: the drill does not ask for it" in lines


def test_rows_that_did_not_come_back_are_in_the_column_and_are_not_called_allowed():
    facts = {"inject.1": {REMOVED: {ROWS: 10}}, "restore.1": {RESTORED: {ROWS: 7}}}
    known = samples.passed().result
    steps = tuple(step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in known.steps)
    lines = ending(drill("table-dropped", steps=steps))
    (row,) = [line for line in lines if line.startswith("  table-dropped ") and "passed" in line]
    assert re.search(rf"~ in part {SHORT_MARK}{MARK} +\u2265 3 +129 +\u2713 1\.81 s$", row)
    heads = next(at for at, line in enumerate(lines) if line.startswith("  drill "))
    assert re.search(r" rows +writes +detected$", lines[heads - 1])
    assert re.search(r" RPO +lost +lost +by probe$", lines[heads])
    assert f"  {SHORT_MARK} data did not come back: RPO met, but not measured for restored tables" in lines
    assert "  \u2713 met" in lines, "no other RPO is met with a reservation"
    said = " ".join(" ".join(lines).split())
    assert "RPO met, but not measured for restored tables: table-dropped (at least 3 rows lost)." in said
    assert "less than the RPO allows" not in said


def test_the_line_of_a_drill_tells_the_loss_and_the_rpo_that_allows_it():
    text = renderings.printed(summary.line(samples.passed()))
    assert re.fullmatch(r"  \u2713 passed in [0-9.]+ s, 129 writes lost \(RPO 12\.9 s of 2 min allowed\)\n", text)
    assert "lost" not in renderings.printed(summary.line(kept("x")))


def test_a_missed_rpo_allows_no_loss():
    missed = samples.recorded("too_slow")
    assert "allowed" not in renderings.printed(summary.line(missed), 300)
    assert "allows" not in suites.suite_sentence(suites.suite_rows(*samples.suite())[1:])


def counted(name, lost_rows, verdict=Verdict.PASSED):
    """Drill that lost rows and writes of its canary."""
    facts = {"inject.1": {REMOVED: {ROWS: 118816}}, "restore.1": {RESTORED: {ROWS: 118816 - lost_rows}}}
    steps = [
        step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in samples.passed().result.steps
    ]
    return drill(name, steps=tuple(steps), verdict=verdict)


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE])
def test_a_drill_that_lost_rows_and_writes_has_one_line_at_80_columns(verdict):
    lines = ending(
        counted("table-dropped", 6, verdict), drill("object-corrupted"), kept("objects-deleted"), counted("all-back", 0)
    )
    at = next(at for at, line in enumerate(lines) if line.startswith("  \u2500"))
    assert [line.split()[0] for line in lines[at + 1 : at + 5]] == [
        "table-dropped",
        "object-corrupted",
        "objects-deleted",
        "all-back",
    ]
    table = lines[at + 1 : at + 5]
    assert table[0].split("\u2265 ")[1].split()[:2] == ["6", "129"]
    assert re.search(r" - +129 +\u2713 1\.81 s$", table[1]), "nothing counted the rows of this drill"
    assert re.search(r" - +none +\u2713 1\.81 s$", table[2])
    assert re.search(r" none +129 +\u2713 1\.81 s$", table[3])
    heads = " ".join(" ".join(lines[:at]).split())
    assert "rows" in heads
    assert "writes" in heads
    assert "- not measured: the drill does not ask for it" in " ".join(" ".join(lines).split())


def test_a_failed_drill_that_lost_rows_does_not_say_that_it_lost_no_writes():
    objectives = samples.passed().result.objectives
    rpo = objectives["rpo"].model_copy(update={"lost_writes": 0})
    failed = counted("table-dropped", 6, Verdict.FAILED)
    failed = samples.view(failed.result.model_copy(update={"objectives": {**objectives, "rpo": rpo}}))
    lines = ending(failed, counted("postgres-lost", 9))
    (row,) = [line for line in lines if line.startswith("  table-dropped ") and "failed" in line]
    assert re.search(r"\u2265 6 +\? ", row)
