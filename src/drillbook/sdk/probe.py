"""Base of probes: measurements during the whole drill. The fields of a probe's class are its keys in YAML.

There are two kinds. An ``Availability`` probe checks a service at a fixed rate; a slow answer never delays the next sample.
A ``Canary`` writes numbered rows as a client would, and later reads back which of them survived. A probe only takes single
samples; the runner is responsible for the rate, the clock and the record.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.sdk import discovery
from drillbook.sdk.action import Context
from drillbook.values import Duration

MOST_AT_ONCE = 30
SessionT = TypeVar("SessionT")


class Probe(BaseModel):
    """Base of all probes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    PART: ClassVar[str] = "probes"
    KIND: ClassVar[str] = ""
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Names of the parameters of type ``Handed``, whose values may refer to a secret in the inventory."""

    every: Duration = Field(default=Duration(0.1), gt=0, description="Time between two samples.")
    timeout: Duration = Field(
        default=Duration(1.0),
        gt=0,
        description="Time limit of a sample; a sample without an answer by then counts as failed.",
    )

    @model_validator(mode="after")
    def _at_once(self) -> Self:
        if self.timeout / self.every > MOST_AT_ONCE:
            raise ValueError(
                "`timeout` divided by `every` is the number of samples that can be in progress at once; "
                f"{self.timeout / self.every:.0f} are more than the maximum of {MOST_AT_ONCE}"
            )
        return self

    @classmethod
    def name(cls) -> str:
        """Return the name in YAML, such as ``http.available``."""
        return discovery.name_of(cls)

    @classmethod
    def check_declaration(cls) -> None:
        """Raise TypeError unless the class has a docstring; called when the module of the class is first inspected."""
        if not (cls.__dict__.get("__doc__") or "").strip():
            raise TypeError(f"{cls.name()} has no docstring")


class Availability(Probe):
    """Base of probes that test if a service works for its clients."""

    KIND = "availability"

    @abstractmethod
    def check(self, ctx: Context) -> str | None:
        """Take one sample within the probe's timeout; return ``None`` on success, otherwise the problem.

        May be called from any thread.
        """


@dataclass(frozen=True, slots=True)
class Lost:
    """Result of a write that was not acknowledged; ``doubt`` is True when the row may nevertheless have been stored."""

    reason: str
    doubt: bool


class Canary(Probe):
    """Base of probes that write numbered rows, and record which of them were acknowledged."""

    KIND = "canary"

    def reach(self, ctx: Context) -> None:
        """Log in without changing anything; after a failure here no cleanup is needed. Raises NotReady."""

    @abstractmethod
    def prepare(self, ctx: Context) -> None:
        """Create the table or other place that the rows are written to. Raises NotReady."""

    @abstractmethod
    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer for one thread, which connects by itself and reconnects after a failure."""

    @abstractmethod
    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the numbers of the rows that are stored now; none was written above ``ctx.written``. Raises CouldNotVerify."""

    @abstractmethod
    def clean(self, ctx: Context) -> None:
        """Remove this run's rows. Raises HostError or CouldNotVerify when some remain."""


class CanaryWriter:
    """A connection that writes numbered rows."""

    def write(self, number: int) -> Lost | None:
        """Write the row ``number`` and wait for the server; return ``None`` when the row was acknowledged."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; safe to call twice."""


class ConnectedWriter(CanaryWriter, Generic[SessionT]):
    """Base of writers over one connection, which is opened again at the next write after a failure. No write is retried."""

    ERRORS: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """Errors that closing a broken connection may raise."""

    def __init__(self) -> None:
        """Make a writer that is not connected yet."""
        self._way = ExitStack()
        self._session: SessionT | None = None

    def session(self) -> SessionT:
        """Return the open connection, or a new one. Raises the errors of ``connect``."""
        if self._session is None:
            self.close()
            self._session = self.connect(self._way)
        return self._session

    def connect(self, way: ExitStack) -> SessionT:
        """Open a connection; ``way`` receives everything that must be closed with it. Raises the errors of the driver."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._session = None
        way, self._way = self._way, ExitStack()
        with suppress(*self.ERRORS):
            way.close()


def find_probe(name: str) -> type[Any]:
    """Return the class of the probe ``name``. Raises UnknownName."""
    return discovery.find(name, Probe)
