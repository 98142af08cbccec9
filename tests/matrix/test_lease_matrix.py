"""The controller is killed while a fault is active, and nobody recovers: the targets undo the fault by themselves.

Every fault with an undo by commands is gone within the lease plus five seconds. A later recovery has no fault to
undo, and removes the rest. CI takes a sample that differs by commit, `invoke test --all` every event.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from pathlib import Path

import pytest

from drillbook.plan.spec import Drill, load
from drillbook.sdk.host import Target
from tests import tiers
from tests.matrix.ground import again, drills, last_word, result, story, watching
from tests.matrix.points import Point, points_of, sampled
from tests.matrix.test_kill_matrix import KILLED, note

pytestmark = pytest.mark.skipif("lease" not in Target.model_fields, reason="this version of Drillbook has no leases")

WANTED = os.environ.get("DRILLBOOK_MATRIX", "")
SEED = tiers.seed()
POINTS = 2
LEASE_S, GRACE_S = 5.0, 5.0
OWN = "reversible"
"""Drill with every fault that commands undo; CI takes it or one of the others, see ``turn``."""
WITHOUT_TREES = Path(__file__).parent / "none"
"""Empty folder of diagnosis trees: loading trees takes most of the time, and they declare no undo."""
LIMIT_S = 60.0
"""A slow machine may exceed the grace period sometimes; the median must not."""


def reversible() -> list[str]:
    """Drills with a fault that commands undo."""
    found = []
    for path in drills():
        drill = load(path, WITHOUT_TREES)
        faults = drill.phases.get("inject", ()) if isinstance(drill, Drill) else ()
        if any("commands" in step.action.undo_kinds() for step in faults):
            found.append(path.stem)
    return found


def turn() -> bool:
    """Return True when CI takes one of these drills: after a change of packages that undo faults, and at every second run, when
    the kill matrix takes one of the shorter drills.
    """
    return not tiers.CI or tiers.killing() or tiers.number() % 2 == 1


NAMES = reversible()
TURN = NAMES if WANTED else [random.Random(SEED).choice([*NAMES, *[OWN] * len(NAMES)])] if turn() else []


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long(130), *([] if name in TURN else [pytest.mark.nightly])]) for name in NAMES],
)
def test_a_fault_is_gone_by_itself_when_its_controller_has_died(ground, name):
    drill = ground.add(name, lease=f"{LEASE_S:.0f}s")
    run, ended = ground.die(drill, None)
    assert ended.status == 0, ended.output
    assert not last_word(run), last_word(run)
    points = armed(story(run).events)
    ground.forget(run)
    assert points, f"nothing that {name} breaks was armed"
    failures, times = [], []
    chosen = points if WANTED == "all" else sampled(points, f"{SEED}/{name}", int(WANTED or POINTS))
    for point in chosen:
        wrong, seconds = killed_and_left(ground, drill, point)
        note(f"{name} {' '.join(map(str, point))}: gone after {seconds:.1f} s {wrong or ''}")
        times.append(seconds)
        if wrong:
            failures.append(f"{' '.join(map(str, point))}: {'; '.join(wrong)}")
            ground.rebuild()
    assert not failures, f"DRILLBOOK_SEED={SEED}, {len(failures)} of {len(chosen)} points:\n" + "\n".join(failures)
    assert statistics.median(times) <= LEASE_S + GRACE_S * crowded(), times


def crowded() -> float:
    """Number of running programs per core, at least one: the factor by which everything takes longer."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def armed(events) -> list[Point]:
    """Points between the first intent of a fault that commands undo, and its undo."""
    points = points_of(events)
    faults = [
        number
        for number, event in enumerate(events)
        if event.kind == "intent" and event.data["effect"] == "fault" and event.data["undo"]["kind"] == "commands"
    ]
    if not faults:
        return []
    seqs = {events[number].seq for number in faults}
    last = next(
        (number for number, event in enumerate(events) if event.kind == "undo" and event.data["intent"] in seqs), len(events)
    )
    return points[faults[0] : last]


def killed_and_left(ground, drill, point) -> tuple[list[str], float]:
    """Kill the controller at ``point`` without a recovery. Return the problems, and the time until the faults were gone."""
    before = ground.camera.take()
    run, ended = ground.die(drill, point)
    died = time.monotonic()
    if ended.status != KILLED:
        return [f"the controller was not killed: {ended}: {last_word(run)}"], 0.0
    with watching(run, ("commands",)) as active:
        while (still := active()) and time.monotonic() < died + LIMIT_S:
            time.sleep(0.1)
    seconds = time.monotonic() - died
    wrong = [f"nobody put back: {still}"] if still else []
    recovered = ground.recover(run)
    wrong += [f"recovery ended with {recovered.status}: {recovered.output[-1500:]}"] if recovered.status else []
    wrong += ground.wrong(run, before) + again(run)
    told = result(run)
    if told["residue"] or told["verdict"] == "passed":
        wrong.append(f"the report says {told['verdict']}, residue {told['residue']}")
    ground.forget(run)
    return wrong, seconds
