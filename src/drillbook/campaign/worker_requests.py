"""Sends requests to Dask workers. Each request has a deadline, so that a worker that hangs blocks nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from distributed import Client

from drillbook.campaign import worker

ASK_S = 15.0
"""Time, in seconds, in which a worker must answer a short request."""
READ_S = 300.0
"""Time, in seconds, in which a worker must read files of a run."""
THREADS = 2
"""Maximum number of requests that are sent to one worker at the same time. It is also the maximum number of runs that are
received from one worker at the same time.
"""


class Lost(Exception):
    """Raised when a worker or the scheduler does not answer. The job may still be running."""


class JobFailed(Exception):
    """Raised when a function of the campaign fails at the worker."""


def ask(
    client: Client, address: str, function: Callable[..., Any], *values: Any, within_s: float, nanny: bool = False
) -> Any:
    """Call ``function`` at the worker ``address``, or at its nanny, and return the result.

    Raises Lost when there is no answer after ``within_s`` seconds, and JobFailed when the function raised an exception.
    """

    async def asked() -> Any:
        return await client.run(worker.answer, function, *values, workers=[address], nanny=nanny)

    try:
        (answer,) = client.sync(asked, callback_timeout=within_s).values()
    except Exception as error:  # the connection may raise anything
        text = str(error) or f"no answer in {within_s:.0f} s"
        raise Lost(f"{type(error).__name__}: {text}") from error
    if answer.error:
        raise JobFailed(answer.error)
    return answer.value


def workers_of(client: Client) -> dict[str, Any]:
    """Ask the scheduler for its workers. Return the facts that Dask has about each worker, with the address of the worker as
    the key. Raises OSError when the scheduler does not answer.
    """

    async def asked() -> Any:
        return await client.scheduler.identity(n_workers=-1)

    return dict(client.sync(asked, callback_timeout=ASK_S)["workers"])


class Lanes:
    """Threads for requests to workers. Each worker has its own threads, so that no request waits for another worker. A
    request also never waits for the transfer of a run from the same worker. Such a transfer may take minutes.
    """

    def __init__(self) -> None:
        """Start without threads."""
        self._pools: dict[tuple[str, str], ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, address: str, function: Callable[..., None], *values: Any) -> None:
        """Call ``function`` in a thread for requests to the worker at ``address``. After ``close``, do nothing."""
        self._run("ask", address, function, values)

    def receive(self, address: str, function: Callable[..., None], *values: Any) -> None:
        """Call ``function`` in a thread for transfers of runs from the worker at ``address``. After ``close``, do nothing."""
        self._run("receive", address, function, values)

    def _run(self, work: str, address: str, function: Callable[..., None], values: tuple[Any, ...]) -> None:
        with self._lock, contextlib.suppress(RuntimeError):  # the interpreter is shutting down
            if not self._closed:
                if (address, work) not in self._pools:
                    self._pools[address, work] = ThreadPoolExecutor(THREADS, thread_name_prefix=f"{work} {address}")
                self._pools[address, work].submit(function, *values)

    def forget(self, address: str) -> None:
        """End the threads of a worker that is gone. Each thread first finishes its present work."""
        with self._lock:
            for known in [known for known in self._pools if known[0] == address]:
                self._pools.pop(known).shutdown(wait=False)

    def close(self) -> None:
        """End all threads. Work that has not begun is dropped."""
        with self._lock:
            self._closed = True
            for pool in self._pools.values():
                pool.shutdown(wait=False, cancel_futures=True)
