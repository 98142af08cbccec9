"""Whole output of a suite of seven drills on a terminal of 80x24: at most 60 lines, also on a slow machine."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from drillbook.cli.run_output import Manner, Teller
from drillbook.findings import finding
from drillbook.judge.result import Objective, Residue, Verdict
from drillbook.judge.shortfall import OLDER
from drillbook.report.terminal import summary
from drillbook.report.terminal.finding_room import LINES, FindingRoom
from drillbook.sdk.action import REMOVED, RESTORED
from tests.report import renderings, samples

DRILLS = ["postgres-lost", "table-dropped", "cache-lost", "objects-deleted", "object-corrupted", "files-lost", "api-down"]
"""Drills of the suite `quarterly`."""
LOST = finding(
    "removed-data-missing",
    wanted="all 118816 rows of public.chunks in database",
    measured="118816 rows of public.chunks in database were removed, 118810 came back in restore.1: 6 or more are missing "
    f"({OLDER})",
    step="restore.1",
)
FOUND = [
    finding(code, measured=f"it was measured for {number} hours on a machine that had other things to do, and that was slow")
    for number, code in enumerate(
        ("lease-unrenewed", "alert-missing", "setting-differs", "probe-failed", "lock-lost", "wal-behind", "file-mode"), 123
    )
]
SLOW = {
    "rto": Objective(target_s=600, measured_s=123.456, error_s=0.25, met=True, clock="rto"),
    "rpo": Objective(
        target_s=120, measured_s=12.3456, error_s=0.0123, met=True, clock="rpo", lost_writes=1248, acknowledged_writes=9000
    ),
    "detect": Objective(target_s=30, measured_s=0.0811, error_s=0.0822, met=True, clock="detection"),
}


ROWS = "rows of public.chunks in database"


def drill(number, name, findings, verdict, writes=0):
    """Run of a slow drill. The drill that drops a table did not bring back all of its rows, and lost this number of ``writes``."""
    facts = (
        {"inject.1": {REMOVED: {ROWS: 118816}}, "restore.1": {RESTORED: {ROWS: 118810}}} if name == "table-dropped" else {}
    )
    steps = [
        step.model_copy(update={"facts": {**step.facts, **facts.get(step.id, {})}}) for step in samples.passed().result.steps
    ]
    rpo = SLOW["rpo"].model_copy(update={"lost_writes": writes}) if facts else SLOW["rpo"]
    result = samples.result(
        run=f"20261201T1809{number}.846Z-{name}-6604",
        drill=name,
        verdict=verdict,
        findings=findings,
        objectives={**SLOW, "rpo": rpo},
        steps=tuple(steps),
    )
    return samples.view(result, routine=("routine-cache",) if name == "cache-lost" else None)


def suite_of(findings, verdict=Verdict.PASSED, failed=7, others=(), writes=0):
    """Suite, and its runs. ``findings``: findings of each drill. ``failed``: number of drills with ``verdict``. ``others``: verdicts
    of the drills after them. All other drills passed. ``writes``: see ``drill``."""
    verdicts = [*[verdict] * failed, *others, *[Verdict.PASSED] * 7][:7]
    views = [
        drill(at, name, found, ended, writes)
        for at, (name, found, ended) in enumerate(zip(DRILLS, findings, verdicts, strict=True), 10)
    ]
    runs = [{"run": one.result.run, "drill": one.result.drill, "verdict": "passed", "folder": "x"} for one in views]
    exit_ = 0 if verdict is Verdict.PASSED else 1
    suite = samples.suite()[0].model_copy(update={"runs": tuple(runs), "verdict": verdict, "exit": exit_})
    return suite, views


def printed(suite, views):
    """Lines of the whole suite, as a terminal shows them."""
    screen = Console(width=80, height=24, file=io.StringIO(), force_terminal=True, color_system=None)
    teller = Teller(Manner.BRIEF, "lab")
    teller.console = screen
    teller.note("lab: the lab is started")
    teller.expect(len(views))
    screen.print()
    for view in views:
        screen.print(f"{view.result.drill}: its title, which the live view cuts to one line")
        teller.between(view)
    teller.end_suite(suite, views, f"reports/{suite.run}/report.html")
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


ENDED = "|".join(map(str, Verdict))
SAME = [(LOST, FOUND[0], FOUND[1])] * 7
OWN = [(LOST, FOUND[at], FOUND[at - 1]) if at < 2 else (FOUND[at], FOUND[at - 1], FOUND[at - 2]) for at in range(7)]


@pytest.mark.parametrize(
    "others", [(), (Verdict.ABORTED,), (Verdict.INCONCLUSIVE,), (Verdict.ABORTED, Verdict.INCONCLUSIVE)]
)
@pytest.mark.parametrize("failed", range(8))
@pytest.mark.parametrize("writes", [0, 1248])
@pytest.mark.parametrize("findings", [[()] * 7, [(LOST,)] * 2 + [()] * 5, SAME, OWN], ids=["none", "two", "same", "own"])
def test_a_slow_suite_with_many_findings_prints_at_most_60_lines(findings, writes, failed, others):
    suite, views = suite_of(findings, Verdict.FAILED if failed or others else Verdict.PASSED, failed, others, writes)
    lines = printed(suite, views)
    assert len(lines) <= 60, "\n".join(lines)
    assert max(map(len, lines)) <= 80, "\n".join(lines)
    table = [line for line in lines if line.startswith(tuple(f"  {name} " for name in DRILLS)) and re.search(ENDED, line)]
    assert len(table) == 7
    for row in table:
        assert len([word for word in row.split() if word in "✓✗~?■"]) == 4, "all figures of a drill are on its line"
        assert " 123 s " in row
    for view in views if any(findings) else ():
        heads = [line for line in lines if line.startswith(f"{view.result.drill}: ")]
        at = lines.index(heads[0])
        told = "    " in lines[at + 2][:4] or "    " in lines[at + 3][:4]
        assert told is bool(view.result.findings), "a drill with findings says so where it ended"


def left(view, number):
    """The run ``view``, which left this number of changes."""
    by_hand = "for db-1, in the folder of the project, in this order:\n" + "\n".join(f"command {line}" for line in range(10))
    changes = tuple(
        Residue(step=f"inject.{at}", host="db-1", what="postgres.drop_table", why="no route to the host", by_hand=by_hand)
        for at in range(1, number + 1)
    )
    found = tuple(finding("residue", title="A change is left", step=one.step, host=one.host) for one in changes)
    result = view.result.model_copy(
        update={
            "residue": changes,
            "exit": 5,
            "findings": (*found, *view.result.findings) if changes else view.result.findings,
        }
    )
    return view.model_copy(update={"result": result})


def retried(view):
    return view.model_copy(update={"steps": (view.steps[0].model_copy(update={"attempts": 3}), *view.steps[1:])})


@pytest.mark.parametrize("others", [(), (Verdict.ABORTED, Verdict.INCONCLUSIVE)])
@pytest.mark.parametrize("failed", [0, 1, 7])
@pytest.mark.parametrize("again", [(), range(7)], ids=["none", "all"])
@pytest.mark.parametrize("leaving", [{}, {1: 1}, {1: 2, 2: 1}, dict.fromkeys(range(7), 3)], ids=["0", "1", "2", "7"])
@pytest.mark.parametrize("findings", [SAME, OWN], ids=["same", "own"])
def test_changes_that_are_left_and_retries_have_room_in_60_lines(findings, leaving, again, failed, others):
    suite, views = suite_of(findings, Verdict.FAILED if failed or others else Verdict.PASSED, failed, others, 1248)
    views = [left(view, leaving.get(at, 0)) for at, view in enumerate(views)]
    views = [retried(view) if at in again else view for at, view in enumerate(views)]
    lines = printed(suite.model_copy(update={"exit": 5}) if leaving else suite, views)
    text = " ".join(" ".join(lines).split())
    assert len(lines) <= 60, "\n".join(lines)
    assert max(map(len, lines)) <= 80, "\n".join(lines)
    assert text.count("! 1 step was retried") == len(again), "beside the verdict of each drill, because it qualifies it"
    undo = [line.strip() for line in lines if "drill.recover " in line]
    runs = [suite.run] if len(leaving) > 1 else [views[at].result.run for at in leaving]
    assert undo == [f"drillbook drill.recover {run}" for run in runs]
    for at in leaving:
        head = next(place for place, line in enumerate(lines) if line.startswith(f"{DRILLS[at]}: "))
        assert any("inject.1" in line for line in lines[head + 1 : head + 6]), "its own lines name what it left"


def test_a_file_tells_how_to_undo_by_hand_what_a_drill_of_a_suite_left():
    suite, views = suite_of([()] * 7, Verdict.FAILED, 1)
    text = renderings.printed(summary.suite_summary(suite, [left(views[0], 1), *views[1:]]))
    assert text.count("command 9") == 1
    assert text.count("only if this fails, by hand:") == 1


def test_a_remedy_of_several_drills_is_one_step_that_names_them():
    lines = printed(*suite_of([(LOST,)] * 2 + [()] * 5))
    text = " ".join(" ".join(lines).split())
    assert text.count("nter the missing data again") + text.count("ompare the restored data") == 1, text
    assert "for postgres-lost and table-dropped" in text
    assert text.count("118816 rows") == 1, "the second drill has only the title"
    assert text.count("medium: Less data came back than the fault removed") == 2
    assert OLDER not in text


def test_few_findings_are_shown_with_their_values_and_the_remedy_is_not_doubled():
    passed = printed(*suite_of([(), (LOST,), *[()] * 5]))
    at = passed.index("    medium: Less data came back than the fault removed")
    assert passed[at + 1].startswith("      measured: 118816 rows of public.chunks")
    assert not [line for line in passed if "remedy:" in line], "the next steps have it"


def test_the_remedy_of_a_drill_that_failed_is_shown_where_there_is_room():
    lines = printed(*suite_of([(FOUND[5],), *[()] * 6], Verdict.FAILED))
    assert [line for line in lines if line.startswith("      measured: ")]
    suite, views = suite_of([(FOUND[5],), *[()] * 6], Verdict.FAILED)
    alone = printed(suite.model_copy(update={"runs": suite.runs[:1]}), views[:1])
    assert [line for line in alone if line.startswith("      remedy: If the server is lost")]


def test_one_line_is_kept_free_for_each_drill_that_has_not_ended():
    _, views = suite_of(SAME)
    screen = Console(width=80, height=24, file=io.StringIO(), color_system=None)
    room = FindingRoom(7)
    sizes = [len(screen.render_lines(room.lines(view, screen))) for view in views]
    assert sum(sizes) <= LINES
    assert all(sizes)


def test_a_file_has_every_finding_with_its_remedy():
    _, views = suite_of(SAME)
    text = " ".join(renderings.printed(summary.line(views[0])).split())
    for one in views[0].result.findings:
        assert one.title in text
        assert f"measured: {one.measured}" in text
    assert text.count("remedy: ") == 3
