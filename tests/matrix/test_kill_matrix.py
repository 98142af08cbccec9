"""The controller is killed right after an event of the journal; one recovery, by a new process, mends everything.

CI takes a fixed sample of the events of every drill, `invoke test --all` every single one.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.matrix.ground import active_faults, again, drills, last_word, result, story
from tests.matrix.points import PERIODIC, Point, points_of, sampled

WANTED = os.environ.get("DRILLBOOK_MATRIX", "")
"""``all``, or how many points of each drill; empty: the sample of the CI."""
SAMPLE = {"api-down": 22, "reversible": 12}
"""Points of the CI's sample, more of the fast drills."""
AT_LEAST = 3
LONG = {"reversible": 230, "api-down": 220, "objects-deleted": 150, "object-corrupted": 110}
"""Seconds that a drill's test takes about, see the marker."""
CARRIED = 3
"""Every third run is recovered on another machine, as far as its journal can tell."""
KILLED = -9

DRILLS = sorted(path.stem for path in drills())


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long(LONG.get(name, 60))) for name in DRILLS])
def test_recovery_mends_a_run_that_was_killed_after_any_event(ground, name):
    drill = ground.add(name)
    points = first_run(ground, drill)
    chosen = points if WANTED == "all" else sampled(points, name, int(WANTED or SAMPLE.get(name, AT_LEAST)))
    failures = []
    for number, point in enumerate(chosen):
        begun = time.monotonic()
        wrong = killed_and_recovered(ground, drill, point, carried=number % CARRIED == 0)
        note(f"{name} {number + 1}/{len(chosen)} {' '.join(map(str, point))}: {time.monotonic() - begun:.1f} s {wrong or 'as before'}")
        if wrong:
            failures.append(f"{' '.join(map(str, point))}: {'; '.join(wrong)}")
            ground.rebuild()
    assert not failures, f"{len(failures)} of {len(chosen)} points:\n" + "\n".join(failures)


def first_run(ground, drill: Path) -> list[Point]:
    """The points of a drill: a run to its end, which must pass and leave nothing either."""
    before = ground.camera.take()
    run, ended = ground.die(drill, None)
    assert ended.status == 0, ended.output
    assert not last_word(run), last_word(run)
    found = points_of(story(run).events)
    wrong = ground.wrong(run, before)
    assert not wrong, wrong
    ground.forget(run)
    return found


def killed_and_recovered(ground, drill: Path, point: Point, *, carried: bool) -> list[str]:
    """What is not as it was, after a run that died at ``point`` and was recovered."""
    before = ground.camera.take()
    run, ended = ground.die(drill, point)
    if ended.status == 0 and point.kind in PERIODIC:  # this time there were fewer of them
        wrong = ground.wrong(run, before)
        ground.forget(run)
        return wrong
    if ended.status != KILLED:
        return [f"the controller was not killed: {ended}: {last_word(run)}"]
    finished = any(event.kind == "run.finished" for event in story(run).events)
    if carried:
        run = ground.carried(run)
    recovered = ground.recover(run)
    wrong = [f"recovery ended with {recovered.status}: {recovered.output[-1500:]}"] if recovered.status else []
    wrong += ground.wrong(run, before) + active_faults(run) + again(run)
    told = result(run)
    if told["residue"] or (told["verdict"] == "passed" and not finished):
        wrong.append(f"the report says {told['verdict']}, residue {told['residue']}")
    ground.forget(run)
    return wrong


def note(line: str) -> None:
    """Tell how far it is, where somebody asked for it."""
    if path := os.environ.get("DRILLBOOK_MATRIX_LOG"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    sys.stderr.write(line + "\n")
