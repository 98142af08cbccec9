"""Waiting in tests: until a condition holds, while nothing may happen, and simulated slowness."""

import time
from collections.abc import Callable

PATIENCE_S = 120.0
LOOK_S = 0.02


def until(held: Callable[[], object], what: str = "the condition", seconds: float = PATIENCE_S) -> None:
    """Wait until ``held`` is true. The time is a deadline for a broken test, generous enough for a busy machine."""
    end = time.monotonic() + seconds
    while not held():
        assert time.monotonic() < end, f"{what} did not come true within {seconds:g} s"
        time.sleep(LOOK_S)


def nothing_happens_for(seconds: float, happens: Callable[[], object], what: str = "it happened") -> None:
    """Prove that ``happens`` stays false for that time; fail as soon as it is true."""
    end = time.monotonic() + seconds
    while True:
        assert not happens(), what
        if time.monotonic() >= end:
            return
        time.sleep(LOOK_S)


def unchanged_for(seconds: float, value: Callable[[], object], patience: float = PATIENCE_S) -> None:
    """Wait until ``value`` has been the same for that time."""
    end = time.monotonic() + patience
    last, since = value(), time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end, f"it still changes after {patience:g} s: {last}"
        time.sleep(LOOK_S)
        if (now := value()) != last:
            last, since = now, time.monotonic()


def lasts(seconds: float) -> None:
    """Take this long, as the slow server, command or person that a test simulates."""
    time.sleep(seconds)
