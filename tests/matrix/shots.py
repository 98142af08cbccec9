"""Kills at random times: the drill, the killed process, and the time of the kill; always the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

KINDS = ("controller", "recovery", "server")
TYPICAL_S = {
    "api-down": 9,
    "api-slow": 30,
    "cache-lost": 9,
    "connections-exhausted": 50,
    "data-orphans": 20,
    "database-lost": 25,
    "dependency-down": 60,
    "env-missing": 10,
    "files-lost": 6,
    "full-drill": 40,
    "host-faults": 12,
    "idle-in-transaction": 20,
    "memory-leak": 25,
    "network-cut": 15,
    "object-corrupted": 8,
    "objects-deleted": 8,
    "port-taken": 14,
    "postgres-lost": 20,
    "restore-newest": 18,
    "slow-query": 25,
    "table-dropped": 10,
    "vectors-diverged": 15,
}
"""Estimated duration of each drill in seconds; a shot that came too late reports the real duration."""
RECOVERY_S = 3.0
"""Estimated duration of each recovery in seconds."""
RESTORE_S = {
    "postgres-lost": 9,
    "database-lost": 9,
    "full-drill": 9,
    "restore-newest": 9,
    "vectors-diverged": 2,
    "slow-query": 2,
}
"""Estimated duration of each restore phase in seconds; others take about three."""


class Shot(NamedTuple):
    """One shot of a seed: kills ``whom`` of ``drill``."""

    number: int
    drill: str
    whom: str

    def part(self, seed: str, attempt: int) -> float:
        """Part of the time after which the shot falls; another one for each attempt, since a missed shot is repeated."""
        return random.Random(f"{seed}/{self.number}/{attempt}").random()


def drawn(seed: str, count: int, drills: Sequence[str], served: Sequence[str]) -> list[Shot]:
    """``count`` shots, with the same number for each kind of process, and for each drill of a kind in turn, in random
    order. ``served``: drills whose restore writes to a server that can be killed.
    """
    chance = random.Random(seed)
    targets: dict[str, list[str]] = {kind: [] for kind in KINDS}
    found = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        if not targets[kind]:
            targets[kind] = sorted(served if kind == "server" else drills)
            chance.shuffle(targets[kind])
        found.append(Shot(number, targets[kind].pop(), kind))
    return found
