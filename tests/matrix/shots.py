"""Shots at random times: which drill, whom of it, and after what part of its time; the same ones for the same seed."""

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
"""Seconds that a drill takes about, here and there; a shot that comes too late tells how many it really took."""
RECOVERY_S = 3.0
"""The same of a recovery."""
RESTORE_S = {
    "postgres-lost": 9,
    "database-lost": 9,
    "full-drill": 9,
    "restore-newest": 9,
    "vectors-diverged": 2,
    "slow-query": 2,
}
"""The same of a restore phase; others take about three."""


class Shot(NamedTuple):
    """One of a seed's shots: at ``whom`` of ``drill``."""

    number: int
    drill: str
    whom: str

    def part(self, seed: str, attempt: int) -> float:
        """After what part of its time it falls; another one for each attempt, since one that missed is drawn again."""
        return random.Random(f"{seed}/{self.number}/{attempt}").random()


def drawn(seed: str, count: int, drills: Sequence[str], served: Sequence[str]) -> list[Shot]:
    """``count`` shots: as many at each kind, and at each drill of a kind in turn, in an order that the seed draws.

    ``served``: the drills whose restore writes to a server that can be killed.
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
