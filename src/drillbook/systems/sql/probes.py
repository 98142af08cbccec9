"""Probe `sql.canary`: a canary in a table of any database that has a DB-API driver."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, DrillbookError, HostError, NotReady
from drillbook.language import placeholders
from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.sdk.in_place import CANARY_COLUMNS
from drillbook.sdk.probe import Canary as BaseCanary
from drillbook.sdk.probe import CanaryWriter, ConnectedWriter, Lost
from drillbook.sdk.service import handed
from drillbook.systems.sql import driver as drivers
from drillbook.systems.sql.driver import Worker
from drillbook.values import Duration, Handed

T = TypeVar("T")
READ_S = 30.0
"""Time limit, in seconds, of every operation that is not a write of the canary."""
MOST_HANGING = 20
"""Maximum number of connections that may hang at the same time. While so many connections hang, the canary tries no further
writes.
"""


class Canary(BaseCanary):
    """Write numbered rows through any DB-API driver into the canary's own table.

    Each acknowledged row must exist after the recovery. A row is acknowledged when its commit has returned.

    The table `drillbook_canary` is created in the database to which the settings in `connect` lead. At the end it is dropped,
    unless it holds rows of another run. The driver runs on the controller. Also set the time limits of the driver in
    `connect`, such as `connect_timeout`, `read_timeout` and `write_timeout` of pymysql.
    """

    SECRETS = frozenset({"connect"})

    driver: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
            description="Name of the driver's Python module, such as `pymysql`, `psycopg` or `sqlite3`. The "
            "driver must be installed in the same environment as Drillbook.",
        ),
    ]
    connect: Annotated[
        dict[str, Handed | bool | int | float],
        Field(
            description=(
                "Keyword arguments of the driver's function `connect`. `${address}` and `${port}` stand for the "
                "address and the port at which the controller reaches the service. A secret must be a whole "
                "value: `{{ services.shop.password }}` and nothing else."
            )
        ),
    ]
    service: Annotated[
        str,
        Field(
            description=(
                "Name of the database's service in the inventory. The service may be of any kind. This field is "
                "required when `connect` contains `${address}` or `${port}`."
            )
        ),
    ] = ""
    table: Annotated[
        str, Field(pattern=r"^[A-Za-z_]\w{0,29}(\.[A-Za-z_]\w{0,29})?$", description="Name of the canary's own table.")
    ] = "drillbook_canary"
    every: Duration = Field(
        default=Duration(0.05), gt=0, description="Time between two writes. The RPO is measured with this resolution."
    )
    timeout: Duration = Field(
        default=Duration(1.0),
        gt=0,
        description="Time limit of a write. A row that is not acknowledged by then may or may not be committed.",
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        used = placeholders.names(self.connect)
        if unknown := sorted(used - {"address", "port"}):
            raise ValueError(
                f"`connect` contains ${{{unknown[0]}}}, which has no value; names with a value are ${{address}}, ${{port}}"
            )
        if used and not self.service:
            raise ValueError(
                f"`connect` contains ${{{min(used)}}}, so the field `service` must name the service that has this address"
            )
        return self

    def reach(self, ctx: Context) -> None:
        """Connect and log in. Raises NotReady when this fails."""
        try:
            self._run(ctx, lambda session: None)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint="check `connect` of the canary, and that the database works") from error

    def prepare(self, ctx: Context) -> None:
        """Create the table unless it exists, and write, read and delete row 0. Raises NotReady when this fails."""
        try:
            self._run(ctx, lambda session: self._prepared(session, ctx.run_id))
        except CouldNotVerify as error:
            raise NotReady(
                error.message,
                hint=f"the account must be able to create the table {self.table}, and to insert, select and delete there",
            ) from error

    def _prepared(self, session: Any, run_id: str) -> None:
        try:
            self._numbers(session, run_id)
        except self._module.Error:
            with suppress(self._module.Error):
                session.rollback()
            self._create(session)
        self.insert(session, run_id, 0)
        if 0 not in self._numbers(session, run_id):
            raise CouldNotVerify(f"row 0 was committed to {self.table}, but a query does not show it")
        self._delete(session, run_id)

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer with one connection."""
        return _Writer(self, ctx)

    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the row numbers of those rows of this run that exist now. The result is empty when the table is missing.

        Raises CouldNotVerify when the database cannot be read.
        """
        return sorted(self._run(ctx, lambda session: self._found(session, ctx.run_id)) - {0})

    def _found(self, session: Any, run_id: str) -> set[int]:
        """Return the record numbers in this run's rows. Return an empty set when the table is missing.

        Not every driver distinguishes a missing table from other errors. So after an error, the function tries to create the
        table. When this succeeds, the table was missing; otherwise the first error is raised.
        """
        try:
            return self._numbers(session, run_id)
        except self._module.Error as error:
            with suppress(self._module.Error):
                session.rollback()
            try:
                self._create(session)
            except self._module.Error:
                raise error from None
            return set()

    def clean(self, ctx: Context) -> None:
        """Delete this run's rows, and drop the table when it contains no other rows. Raises CouldNotVerify when this fails."""
        self._run(ctx, lambda session: self._removed(session, ctx.run_id))

    def _removed(self, session: Any, run_id: str) -> None:
        self._found(session, run_id)
        self._delete(session, run_id)
        if not self._query(session, f"SELECT COUNT(*) FROM {self.table}")[0][0]:  # noqa: S608  a checked name
            self._change(session, f"DROP TABLE {self.table}")

    @property
    def _module(self) -> Any:
        return drivers.load(self.driver)

    def _create(self, session: Any) -> None:
        run, number = CANARY_COLUMNS
        columns = f"{run} VARCHAR(100) NOT NULL, {number} INTEGER NOT NULL, PRIMARY KEY ({run}, {number})"
        self._change(session, f"CREATE TABLE {self.table} ({columns})")

    def insert(self, session: Any, run_id: str, number: int) -> None:
        """Insert a row and commit. Raises the driver's errors when this fails."""
        text = f"INSERT INTO {self.table} (run_id, record_number) VALUES (:run, :number)"  # noqa: S608  a checked name
        self._change(session, text, run=run_id, number=number)

    def _delete(self, session: Any, run_id: str) -> None:
        self._change(session, f"DELETE FROM {self.table} WHERE run_id = :run", run=run_id)  # noqa: S608  a checked name

    def _numbers(self, session: Any, run_id: str) -> set[int]:
        text = f"SELECT record_number FROM {self.table} WHERE run_id = :run"  # noqa: S608  a checked name
        return {int(row[0]) for row in self._query(session, text, run=run_id)}

    def _change(self, session: Any, text: str, **given: Any) -> None:
        with closing(session.cursor()) as cursor:
            cursor.execute(*drivers.statement(self._module, text, **given))
        session.commit()

    def _query(self, session: Any, text: str, **given: Any) -> list[Any]:
        with closing(session.cursor()) as cursor:
            cursor.execute(*drivers.statement(self._module, text, **given))
            rows = list(cursor.fetchall())
        session.commit()
        return rows

    @contextmanager
    def connected(self, ctx: Context) -> Iterator[Any]:
        """Yield a new connection. Raises NotReady when the driver is missing, HostError when the host cannot be used, and
        the driver's errors when the connection fails.
        """
        with drivers.address(ctx, self.service) as where:
            given = {key: self._value(ctx, value, where) for key, value in self.connect.items()}
            session = self._module.connect(**given)
            try:
                yield session
            finally:
                with suppress(self._module.Error, OSError):
                    session.close()

    @staticmethod
    def _value(ctx: Context, value: Any, where: Any) -> Any:
        if not isinstance(value, str):
            return value
        handed_over = handed(value, ctx.services)
        return placeholders.fill(handed_over, where) if isinstance(handed_over, str) else handed_over.reveal()

    def _run(self, ctx: Context, work: Callable[[Any], T]) -> T:
        """Run ``work`` with a new connection, within the deadline. Raises NotReady when the driver is missing, and
        CouldNotVerify when the connection or ``work`` fails.
        """

        def whole() -> T:
            with self.connected(ctx) as session:
                return work(session)

        worker, limit = Worker(), min(READ_S, ctx.deadline.remaining())
        try:
            return worker.run(whole, limit)
        except DrillbookError as error:
            if isinstance(error, HostError):
                raise CouldNotVerify(f"{self.name()} on {self.table}: {error.message}") from error
            raise
        except TimeoutError as error:
            raise CouldNotVerify(f"{self.name()} on {self.table}: no answer within {limit:.0f} s") from error
        except Exception as error:
            raise CouldNotVerify(f"{self.name()} on {self.table}: {reason(error)}") from error
        finally:
            worker.end()


def reason(error: BaseException) -> str:
    """Return the text of a driver's error on one line."""
    said = re.sub(r"\s+", " ", str(error)).strip()
    return excerpt(f"{type(error).__name__}: {said}" if said else type(error).__name__, limit=300)


class _Session(ConnectedWriter[Any]):
    """Connection of a writer. Only one thread uses it."""

    ERRORS = (Exception,)

    def __init__(self, canary: Canary, ctx: Context) -> None:
        super().__init__()
        self._canary, self._ctx = canary, ctx

    def connect(self, way: ExitStack) -> Any:
        """Open a connection with the settings in `connect`. The connection is closed when ``way`` is closed."""
        return way.enter_context(self._canary.connected(self._ctx))

    def write(self, number: int) -> Lost | None:
        """Insert the row ``number`` and commit. Return None on success, otherwise the reason of the failure."""
        try:
            session = self.session()
        except Exception as error:  # noqa: BLE001  a driver may raise any error
            self.close()
            return Lost(reason(error), doubt=False)
        try:
            self._canary.insert(session, self._ctx.run_id, number)
        except Exception as error:  # noqa: BLE001  a driver may raise any error
            self.close()
            return Lost(reason(error), doubt=True)
        return None


class _Writer(CanaryWriter):
    """Writer of rows in a thread of its own. When a write does not end in time, the writer abandons this thread and its
    connection.
    """

    def __init__(self, canary: Canary, ctx: Context) -> None:
        self._canary, self._ctx = canary, ctx
        self._worker: Worker | None = None
        self._session: _Session | None = None
        self._hanging: list[Worker] = []

    def write(self, number: int) -> Lost | None:
        """Write the row ``number``, and wait until its commit has returned or the time limit has passed. Return None when the
        row was committed, otherwise the reason.
        """
        self._hanging = [worker for worker in self._hanging if worker.alive]
        if len(self._hanging) >= MOST_HANGING:
            return Lost(f"not tried: {len(self._hanging)} earlier writes still wait for an answer", doubt=False)
        if self._worker is None or self._session is None:
            self._worker, self._session = Worker(), _Session(self._canary, self._ctx)
        session, limit = self._session, float(self._canary.timeout)
        try:
            return self._worker.run(lambda: session.write(number), limit)
        except TimeoutError:
            self._hanging.append(self._worker)
            self.close()
            return Lost(f"no answer within {limit:g} s", doubt=True)

    def close(self) -> None:
        """Close the connection after its last write has returned. A second call does nothing."""
        if self._worker and self._session:
            self._worker.end(self._session.close)
        self._worker = self._session = None
