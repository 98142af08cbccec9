"""Results of earlier runs of the project, for actions that compare this run with an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EarlierStep:
    """A step that passed in an earlier run: id of the run, its start in UTC, and the facts of the step."""

    run: str
    started: str
    facts: Mapping[str, Any]
