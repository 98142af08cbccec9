"""The corpus of backups: whole ones, and ones with a single damage, all made from real servers.

Each driver has a module `artefacts` with its `CORPUS` in its folder of `tests/systems`. Its tests ask Drillbook about every one
of them, and `invoke bench.detection` asks other tools beside.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.systems.estate import Estate

MODULES = (
    "postgres.artefacts",
    "pgbackrest.artefacts",
    "mariadb.artefacts",
    "restic.artefacts",
    "tar.artefacts",
    "sqlite.artefacts",
    "redis.artefacts",
)
"""Modules of `tests.systems` whose `CORPORA` are the corpus."""
WHOLE = "whole"
CUT, CHANGED, LOST, EMPTY, LESS, OTHER, OLD, KEY = DAMAGES = (
    "cut off",
    "changed bytes",
    "part missing",
    "nothing in it",
    "less than all",
    "something else",
    "too old, too small",
    "key lost",
)
"""Kinds of damage."""
BROKEN_AT_LEAST, WHOLE_AT_LEAST = 120, 12


@dataclass(frozen=True)
class Artefact:
    """One backup of the corpus."""

    name: str
    damage: str
    """``WHOLE``, or one of ``DAMAGES``."""
    findings: tuple[str, ...]
    """Codes of exactly the findings that it has; none for a whole one."""
    lay: Callable[[Any, Path], Estate]
    """Lays it into a new folder, from what its corpus has opened; returns the estate with its source and a sandbox `copy`."""
    seen_by: str = "check"
    """`restore` for damage that no check where it lies can see."""

    def expected(self, action: str) -> list[str]:
        return list(self.findings) if action == self.seen_by else []


@dataclass(frozen=True)
class Corpus:
    """All artefacts of one driver."""

    driver: str
    """Its kind in an inventory."""
    opened: Callable[[Path], AbstractContextManager[Any]]
    """Starts the servers, and takes the backups that the artefacts are copies of."""
    artefacts: tuple[Artefact, ...]

    def parameters(self) -> list[Any]:
        """The broken ones as parameters of a test."""
        return [pytest.param(one, id=one.name, marks=pytest.mark.corpus) for one in self.artefacts if one.damage != WHOLE]

    def whole(self) -> list[Any]:
        """The whole ones as parameters of a test."""
        return [pytest.param(one, id=one.name, marks=pytest.mark.corpus) for one in self.artefacts if one.damage == WHOLE]

    def only(self, *names: str) -> Corpus:
        """A corpus of these artefacts alone."""
        return replace(self, artefacts=tuple(one for one in self.artefacts if one.name in names))


def corpora() -> list[Corpus]:
    """The corpora of all drivers."""
    modules = (importlib.import_module(f"tests.systems.{name}") for name in MODULES)
    return [corpus for module in modules for corpus in module.CORPORA]


def exact(estate: Estate, artefact: Artefact) -> None:
    """Assert that the check, and a restore where no check can see it, report exactly the findings of the artefact."""
    assert estate.found_by_check() == artefact.expected("check")
    if artefact.seen_by == "restore" or artefact.damage == WHOLE:
        assert estate.found_by_restore() == artefact.expected("restore")
