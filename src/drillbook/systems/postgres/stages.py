"""Measures the durations of the stages of a long action."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Stages:
    """Durations of the stages of an action in seconds. The key of each entry is the name of a stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Measure the duration of the ``with`` block, and record it for the stage ``name``."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - begun, 3)

    def timed(self, name: str, work: Callable[[], T]) -> T:
        """Call ``work``, record its duration for the stage ``name``, and return its result."""
        with self.time(name):
            return work()
