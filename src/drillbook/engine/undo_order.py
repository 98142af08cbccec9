"""Order of undos. The newest step is undone first. A step is undone on all its hosts in parallel. Each host runs one undo at
a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

AT_ONCE = 128
"""Largest number of hosts on which undos run at the same time."""


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """Piece of work on one host, such as an undo.

    ``step``: value that identifies the step. Consecutive pieces of work with equal values may run at the same time.
    """

    host: str
    step: Hashable
    work: Callable[[], T]


def in_turns(turns: Sequence[Turn[T]], patience_s: float) -> list[T]:
    """Carry out the pieces of work ``turns``, and return their results in the same order.

    The work of one step is done on all its hosts in parallel. A host does only one piece of work at a time. Normally the next
    step begins when all earlier work has ended. But because a host may hang, the next step also begins when no work has ended
    for ``patience_s`` seconds. Raises the first error of the work, after all work has ended.
    """
    lanes: dict[str, _Lane] = {}
    futures: list[Future[T]] = []
    with ThreadPoolExecutor(max(1, min(AT_ONCE, len({turn.host for turn in turns}))), thread_name_prefix="undo") as pool:
        before: Hashable = None
        for turn in turns:
            if futures and turn.step != before:
                _until_still(futures, patience_s)
            before = turn.step
            lane = lanes.setdefault(turn.host, _Lane(pool))
            futures.append(lane.add(turn.work))
    return [future.result() for future in futures]


def _until_still(futures: Iterable[Future[T]], patience_s: float) -> None:
    """Wait until all ``futures`` have ended, or until none of them ends for ``patience_s`` seconds."""
    waiting = {future for future in futures if not future.done()}
    while waiting:
        ended, waiting = wait(waiting, timeout=patience_s, return_when=FIRST_COMPLETED)
        if not ended:
            return


class _Lane:
    """Queue of the work of one host. Threads of ``pool`` carry out one piece of work at a time, in the order of the
    queue.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._queue: deque[tuple[Future[object], Callable[[], object]]] = deque()
        self._busy = False
        self._lock = threading.Lock()

    def add(self, work: Callable[[], T]) -> Future[T]:
        """Append ``work``. Return the future of its result."""
        future: Future[T] = Future()
        with self._lock:
            self._queue.append((future, work))  # type: ignore[arg-type]
            if not self._busy:
                self._busy = True
                self._pool.submit(self._drain)
        return future

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._busy = False
                    return
                future, work = self._queue.popleft()
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  given to whoever asks for the result
                future.set_exception(error)
