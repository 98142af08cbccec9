"""Pause of Python's garbage collector while a long journal is read, judged or rendered.

Nothing that is made then is garbage, but the collector looks through all of it again and again.
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
    """Pause the collector during the `with`, unless it is off already; pauses of several threads may overlap."""
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
