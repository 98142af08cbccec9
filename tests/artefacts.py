"""Corpus of backups: intact ones, and ones with a single damage, all made from real servers.

Each driver has a module `artefacts` with its `CORPUS` in its folder of `tests/systems`. The driver's tests check each
backup with Drillbook, and `invoke bench.detection` checks it with other tools too.
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
    """Codes of all findings that a check must report; empty for an intact backup."""
    lay: Callable[[Any, Path], Estate]
    """Create the artefact in a new folder, from the state that the corpus prepared.

    Return the estate with its source and a sandbox `copy`.
    """
    seen_by: str = "check"
    """`restore` for damage that only a restore can detect."""

    def expected(self, action: str) -> list[str]:
        return list(self.findings) if action == self.seen_by else []


@dataclass(frozen=True)
class Corpus:
    """All artefacts of one driver."""

    driver: str
    """Its kind in an inventory."""
    opened: Callable[[Path], AbstractContextManager[Any]]
    """Start the servers, and take the backups from which the artefacts are copied."""
    artefacts: tuple[Artefact, ...]

    def parameters(self) -> list[Any]:
        """Damaged artefacts as parameters of a test."""
        return [pytest.param(one, id=one.name, marks=pytest.mark.corpus) for one in self.artefacts if one.damage != WHOLE]

    def whole(self) -> list[Any]:
        """Intact artefacts as parameters of a test."""
        return [pytest.param(one, id=one.name, marks=pytest.mark.corpus) for one in self.artefacts if one.damage == WHOLE]

    def only(self, *names: str) -> Corpus:
        """A corpus of these artefacts only."""
        return replace(self, artefacts=tuple(one for one in self.artefacts if one.name in names))


def corpora() -> list[Corpus]:
    """The corpora of all drivers."""
    modules = (importlib.import_module(f"tests.systems.{name}") for name in MODULES)
    return [corpus for module in modules for corpus in module.CORPORA]


def exact(estate: Estate, artefact: Artefact) -> None:
    """Assert that Drillbook reports exactly the findings of the artefact: in the check, or in a restore if the check
    cannot detect it.
    """
    assert estate.found_by_check() == artefact.expected("check")
    if artefact.seen_by == "restore" or artefact.damage == WHOLE:
        assert estate.found_by_restore() == artefact.expected("restore")
