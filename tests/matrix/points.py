"""Points at which a controller can die: after the n-th event of a kind at a place.

A point has the same name in every run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from drillbook.journal.journal import Event
from drillbook.plan.spec import PHASES

PERIODIC = ("probe.samples", "canary.writes", "progress")
"""Kinds whose number differs between runs; only the first events of them certainly occur again."""
SURE = 2
CHANCE = ("controller.stalled",)
"""Kinds that occur only on a busy machine, and need not occur again."""


class Point(NamedTuple):
    """After the ``nth`` event of ``kind`` at ``place``: a step, a phase or a probe."""

    kind: str
    place: str
    nth: int

    @property
    def phase(self) -> str:
        """Phase of the step or phase of this point; empty at a probe, and between phases."""
        name = self.place.partition(".")[0]
        return name if name in PHASES else ""


def place_of(event: Event) -> str:
    """The step, phase or probe of an event."""
    return str(event.step or event.data.get("phase") or event.data.get("probe") or "")


def points_of(events: Iterable[Event]) -> list[Point]:
    """Every point of a run, in order."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for event in events:
        key = event.kind, place_of(event)
        seen[key] += 1
        found.append(Point(*key, seen[key]))
    return found


def sampled(points: Sequence[Point], seed: str, count: int, kinds: Collection[str] = ()) -> list[Point]:
    """Select ``count`` points, and more if necessary to have one of each of ``kinds``; the same points for the same
    seed and run. The most critical points come first: between the intent and the proof of a fault, and in the middle
    of the restore. Then one point of each kind in turn, so that no kind is left out while there is room.
    """
    sure = [point for point in points if point.kind not in CHANCE and (point.kind not in PERIODIC or point.nth <= SURE)]
    by_kind: dict[str, list[Point]] = {}
    for point in sorted(sure, key=lambda point: _chance(seed, *map(str, point))):
        by_kind.setdefault(point.kind, []).append(point)
    order = sorted(by_kind, key=lambda kind: _chance(seed, kind))
    chosen = sorted(_critical(sure), key=lambda point: _chance(seed, *map(str, point)))[:count]
    chosen += [by_kind[kind][0] for kind in order if kind in kinds and kind not in {point.kind for point in chosen}]
    while len(chosen) < min(count, len(sure)):
        for kind in order:
            left = [point for point in by_kind[kind] if point not in chosen]
            if left and len(chosen) < count:
                chosen.append(left[0])
    return [point for point in points if point in chosen]


def in_every_phase(points: Sequence[Point], chosen: Sequence[Point], seed: str) -> list[Point]:
    """Return ``chosen`` plus one random point in each phase that has none yet."""
    found = {
        point.phase: point
        for point in sorted(points, key=lambda point: _chance(seed, *map(str, point)))
        if point.phase and point.kind not in (*CHANCE, *PERIODIC)
    }
    there = {point.phase for point in chosen}
    wanted = [*chosen, *(point for phase, point in found.items() if phase not in there)]
    return [point for point in points if point in wanted]


def _critical(points: Sequence[Point]) -> list[Point]:
    """After the intent of the last fault, in the middle of the restore's commands, and after the fault's first command."""
    intents = [point for point in points if point.kind == "intent" and point.place.startswith("inject.")]
    restoring = [point for point in points if point.kind == "command" and point.place.startswith("restore.")]
    breaking = [point for point in points if point.kind == "command" and intents and point.place == intents[-1].place]
    # Commands before an intent belong to `ready` and to the recording of the undo; the last ones are the act and its proof.
    return [*intents[-1:], *restoring[len(restoring) * 2 // 3 :][:1], *breaking[-3:][:1]]


def _chance(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()
