"""The controller is killed right after an event of the journal; one recovery, by a new process, restores everything.

CI takes a sample: two drills (three after a change of packages that undo faults), others at the next commit; of
these, events of an eighth of the kinds, and one event in every phase. `invoke test --all` takes every event of every
drill. DRILLBOOK_SEED repeats the sample of another commit.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests import tiers
from tests.matrix.ground import active_faults, again, drills, last_word, result, story
from tests.matrix.points import PERIODIC, Point, in_every_phase, points_of, sampled
from tests.matrix.random_kills import SERVERS, Server

WANTED = os.environ.get("DRILLBOOK_MATRIX", "")
"""``all``, or the number of points of each drill; empty for the sample of CI."""
SEED = tiers.seed()
WHOLE = "api-down"
"""Fastest drill with nearly every kind of event."""
COMMON = {
    "canary.survivors",
    "canary.writes",
    "command",
    "diagnosed",
    "done",
    "fault.active",
    "fault.gone",
    "intent",
    "lease.armed",
    "lease.log",
    "lease.ready",
    "lock.released",
    "lock.taken",
    "phase.ended",
    "phase.started",
    "probe.ended",
    "probe.prepared",
    "probe.samples",
    "probe.started",
    "run.finished",
    "run.started",
    "step.started",
    "undo",
    "undone",
}
"""Kinds of its events."""
BACKED = ("cache-lost", "files-lost", "postgres-lost", "table-dropped")
"""Drills with the remaining kinds."""
POINTS, SHARE = 2, 8
"""Smallest number of points of each drill, and the divisor for the kinds."""
LONG = {WHOLE: 250}
"""Estimated duration of a drill's test in seconds; see the marker."""
CARRIED = 3
"""Every third run is recovered on another machine, as far as its journal allows this."""
KILLED = -9

DRILLS = sorted(path.stem for path in drills())


GROUPS = ([WHOLE, *BACKED], [name for name in DRILLS if name not in (WHOLE, *BACKED)])
"""Drills with most kinds of events, and the others. CI takes one drill of one group, and at the next run one of the other group."""


def turn(*, more: bool) -> set[str]:
    """The drills of this run. ``more``: one drill of each group."""
    number = tiers.number()
    if more:
        return {names[number % len(names)] for names in GROUPS}
    names = GROUPS[number % len(GROUPS)]
    return {names[number // len(GROUPS) % len(names)]}


TURN = set(DRILLS) if WANTED else turn(more=tiers.killing())
PARAMS = [
    pytest.param(name, marks=[pytest.mark.long(LONG.get(name, 150)), *([] if name in TURN else [pytest.mark.nightly])])
    for name in DRILLS
]


@pytest.mark.parametrize("name", PARAMS)
def test_recovery_mends_a_run_that_was_killed_after_any_event(ground, name):
    drill = ground.add(name)
    points = first_run(ground, drill)
    chosen = points if WANTED == "all" else sample(points, name)
    failures = []
    for number, point in enumerate(chosen):
        begun = time.monotonic()
        wrong = killed_and_recovered(ground, drill, point, carried=number % CARRIED == 0)
        note(
            f"{name} {number + 1}/{len(chosen)} {' '.join(map(str, point))}: {time.monotonic() - begun:.1f} s {wrong or 'as before'}"
        )
        if wrong:
            failures.append(f"{' '.join(map(str, point))}: {'; '.join(wrong)}")
            ground.rebuild()
    assert not failures, f"DRILLBOOK_SEED={SEED}, {len(failures)} of {len(chosen)} points:\n" + "\n".join(failures)


def sample(points: list[Point], name: str) -> list[Point]:
    """Points for CI, or the requested number of them."""
    seed = f"{SEED}/{name}"
    if WANTED:
        return sampled(points, seed, int(WANTED))
    kinds = {point.kind for point in points}
    if name == WHOLE:
        assert kinds >= COMMON, "each kind that is gone from here must be in a drill that every run of CI takes"
        return in_every_phase(points, sampled(points, seed, POINTS, kinds_of_turn(kinds, name)), seed)
    return sampled(points, seed, POINTS, kinds_of_turn(kinds - COMMON, name))


def kinds_of_turn(kinds: set[str], name: str) -> set[str]:
    """An eighth of the kinds, and the next ones when the drill has its next turn."""
    every = next(len(names) for names in GROUPS if name in names) * (1 if tiers.killing() else len(GROUPS))
    return set(tiers.next_ones(sorted(kinds), -(-len(kinds) // SHARE), f"kinds of {name}", every))


def test_each_turn_has_every_phase_and_an_eighth_of_the_kinds_and_eight_turns_have_all(monkeypatch):
    points = [Point(kind, place, nth) for kind in COMMON for place in ("inject.1", "probe.1") for nth in (1, 2)]
    points += [Point("only.here", "restore.2", 1), Point("run.started", "verify.1", 1), Point(PERIODIC[0], "verify.1", 9)]
    seen: set[str] = set()
    for number in range(10, 10 + SHARE):
        monkeypatch.setattr(tiers, "number", lambda number=number: number * 2 * len([WHOLE, *BACKED]))
        monkeypatch.setattr(tiers, "killing", lambda: False)
        chosen = sample(points, WHOLE)
        assert {point.phase for point in chosen} >= {"inject", "restore", "verify"}
        assert len({point.kind for point in chosen}) >= len(COMMON) // SHARE
        seen |= {point.kind for point in chosen}
        assert "only.here" in {point.kind for point in sample(points, BACKED[0])}, "the only kind that is not common"
    assert seen == {*COMMON, "only.here", PERIODIC[0]}, "every kind has its turn"
    assert sampled(points, "a", 5) == sampled(points, "a", 5) != sampled(points, "b", 5)


@pytest.mark.parametrize("more", [False, True])
def test_every_drill_has_its_turn_within_few_commits(monkeypatch, more):
    turns, longest = [], max(map(len, GROUPS))
    for number in range(1000, 1000 + (longest if more else 2 * longest)):
        monkeypatch.setattr(tiers, "number", lambda number=number: number)
        turns.append(turn(more=more))
    assert {len(names) for names in turns} == {2 if more else 1}
    assert set.union(*turns) == set(DRILLS)
    assert all(names & {WHOLE, *BACKED} for names in (turns if more else turns[::2]))


def first_run(ground, drill: Path) -> list[Point]:
    """Points of a drill, from a complete run, which must pass without residue."""
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
    """Differences from the original state, after a run that died at ``point`` and was recovered."""
    before = ground.camera.take()
    run, ended = ground.die(drill, point)
    if ended.status == 0 and point.kind in PERIODIC:  # this run had fewer such events
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


def test_a_server_that_was_killed_before_its_data_was_removed_is_started_again(ground):
    """The host has ended the command that kills the server and removes its data directory in the middle of it."""
    drill, point = ground.add("postgres-lost"), Point("intent", "inject.1", 1)
    before = ground.camera.take()
    run, ended = ground.die(drill, point)
    assert ended.status == KILLED
    assert Server(ground.lab, *SERVERS["postgres-lost"]).kill()
    recovered = ground.recover(run)
    assert recovered.status == 0, recovered.output
    assert not ground.wrong(run, before) + active_faults(run) + again(run)
    assert "it never happened" in [event.data.get("message") for event in story(run).events if event.kind == "undone"]
    assert not [event for event in story(run).events if event.kind == "phase.started" and event.data["phase"] == "restore"]
    ground.forget(run)


def note(line: str) -> None:
    """Report the progress if DRILLBOOK_MATRIX_LOG is set."""
    if path := os.environ.get("DRILLBOOK_MATRIX_LOG"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    sys.stderr.write(line + "\n")
