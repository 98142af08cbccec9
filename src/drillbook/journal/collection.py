"""Pauses Python's garbage collector while a long journal is read, judged or rendered.

Almost no object that is made during this time is garbage. Without a pause, the garbage collector would examine all these objects
again and again.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = [0]


@contextmanager
def paused() -> Iterator[None]:
    """Pause the garbage collector within the `with` block, unless it is off already.

    Pauses of several threads may overlap.
    """
    with _lock:
        mine = _pauses[0] > 0 or gc.isenabled()
        _pauses[0] += mine
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _pauses[0] -= mine
            if mine and not _pauses[0]:
                gc.enable()


@contextmanager
def last_work() -> Iterator[None]:
    """Pause the garbage collector for the last work of the process.

    The collector never examines the objects that this work leaves in memory: not at the end of the pause, and not when the
    process exits.
    """
    with paused():
        try:
            yield
        finally:
            gc.freeze()
