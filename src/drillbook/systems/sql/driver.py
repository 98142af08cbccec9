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
        f"correct `driver`, or install the package of {name!r} in the same environment as Drillbook; for MariaDB: "
        f"{extras.current().adding('mariadb')}"
    )
    try:
        top = importlib.util.find_spec(name.partition(".")[0])
        if top is None:
            raise NotReady(f"the driver {name!r} is not installed", hint=wanted)
        if not _installed(top.origin):
            raise NotReady(f"the driver {name!r} is not an installed package, but {top.origin or 'a folder'}", hint=wanted)
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

    Each name must occur exactly once in ``text``. The names must have the same order as in ``given``.
    """
    marks = {"qmark": "?", "numeric": ":{number}", "named": ":{name}", "format": "%s", "pyformat": "%({name})s"}
    for number, name in enumerate(given, 1):
        text = text.replace(f":{name}", marks[module.paramstyle].format(name=name, number=number))
    return text, given if module.paramstyle in ("named", "pyformat") else tuple(given.values())


@contextmanager
def address(ctx: Context, service_name: str) -> Iterator[Mapping[str, Any]]:
    """Yield a mapping with the `address` and the `port` at which the controller reaches a service. Both are valid only inside
    the `with` block. Yield an empty mapping when ``service_name`` is empty.

    If the kind of the service has no field `reach`, the connection goes through SSH to the host of the service. Raises
    PlanError when the inventory lacks the service or its host. Raises HostError when the connection to the host fails.
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
    """Thread that runs functions one after another. The caller waits for a function only for a limited time. Such a thread is
    needed because a driver may have no time limit of its own.

    A function that needs longer is not interrupted. The thread cannot end before this function has returned.
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
        """Tell the thread to finish all waiting functions, to call ``last``, and then to end. This method returns at once."""
        if last is not None:
            self._jobs.put((last, Future()))
        self._jobs.put(None)

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()
