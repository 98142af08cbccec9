"""Drivers of databases that implement the Python DB-API (PEP 249). A driver is found by the name of its module, and called
with a time limit.
"""

from __future__ import annotations

import importlib
import importlib.util
import site
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from drillbook.errors import NotReady
from drillbook.installation import extras
from drillbook.sdk.action import Context

T = TypeVar("T")
STYLES = ("qmark", "numeric", "named", "format", "pyformat")


def load(name: str) -> Any:
    """Import the driver ``name``. The driver must be installed in the same environment as Drillbook, or be part of Python.
    Raises NotReady when there is no such driver.

    A module in another place, such as the project's folder, is not imported, because a check of a drill must not run code
    from there.
    """
    wanted = (
        f"install the driver's package in the same environment as Drillbook, or correct `driver`; MariaDB: "
        f"{extras.current().adding('mariadb')} ({name!r})"
    )
    try:
        top = importlib.util.find_spec(name.partition(".")[0])
        if top is None:
            raise NotReady(f"the driver {name!r} is not installed", hint=wanted)
        if not _installed(top.origin):
            raise NotReady(f"the driver {name!r} is not an installed package: {top.origin or 'it has no file'}", hint=wanted)
        module = importlib.import_module(name)
    except (ImportError, ValueError) as error:
        raise NotReady(f"the driver {name!r} cannot be imported: {error}", hint=wanted) from None
    if getattr(module, "apilevel", "") != "2.0" or getattr(module, "paramstyle", "") not in STYLES:
        raise NotReady(
            f"the module {name!r} is not a driver: it does not implement the DB-API 2.0 of PEP 249",
            hint="examples of drivers: pymysql, mariadb, psycopg, sqlite3, oracledb",
        )
    return module


def _installed(origin: str | None) -> bool:
    """Return True for a module in a folder of installed packages, and for a module that is part of Python."""
    if origin in ("built-in", "frozen"):
        return True
    folders = [*sysconfig.get_paths().values(), *site.getsitepackages(), sysconfig.get_config_var("DESTSHARED")]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    kept = [Path(folder).resolve() for folder in folders if folder and Path(folder).resolve() != Path(sys.prefix).resolve()]
    return origin is not None and any(Path(origin).resolve().is_relative_to(folder) for folder in kept)


def statement(module: Any, text: str, **given: Any) -> tuple[str, Any]:
    """Convert the SQL statement ``text`` and its values ``given`` to the parameter style of the driver ``module``. In
    ``text``, each value is written as ``:`` and its name.

    Each name occurs once in ``text``, and the names have the same order as in ``given``.
    """
    marks = {"qmark": "?", "numeric": ":{number}", "named": ":{name}", "format": "%s", "pyformat": "%({name})s"}
    for number, name in enumerate(given, 1):
        text = text.replace(f":{name}", marks[module.paramstyle].format(name=name, number=number))
    return text, given if module.paramstyle in ("named", "pyformat") else tuple(given.values())


@contextmanager
def address(ctx: Context, service_name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the address and the port at which the controller reaches a service while the `with` block runs. Yield an empty
    mapping when ``service_name`` is empty.

    The service is reached through SSH from its own host if its kind has no field `reach`. Raises PlanError when the
    inventory lacks the service or its host. Raises HostError when the connection to the host fails.
    """
    if not service_name:
        yield {}
        return
    service: Any = ctx.services[service_name]
    if hasattr(service, "reach"):
        with ctx.reach(service) as (host, port):
            yield {"address": host, "port": port}
        return
    host, port = service.listens or ("", 0)
    with ctx.host_named(service.host).forward(service.socket or host, port) as local:
        yield {"address": "127.0.0.1", "port": local}


@dataclass
class Worker:
    """A thread that runs functions one after another. Because a driver may have no time limit, the caller waits for a
    limited time only. A function that is still running after this time is not interrupted. The thread cannot end before
    this function has returned.
    """

    _jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = field(default_factory=SimpleQueue, init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="sql-canary", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, outcome = job
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001  every error belongs to the caller
                outcome.set_exception(error)

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """Run ``call`` in the thread, and return its result. Raises the errors of ``call``, or TimeoutError when it needs
        more than ``seconds``.
        """
        outcome: Future[T] = Future()
        self._jobs.put((call, outcome))
        return outcome.result(seconds)

    def end(self, last: Callable[[], None] | None = None) -> None:
        """Let the thread end after its present functions. First it finishes the functions that it was given before, then it
        calls ``last``, then it ends. This method returns at once.
        """
        if last is not None:
            self._jobs.put((last, Future()))
        self._jobs.put(None)

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()
