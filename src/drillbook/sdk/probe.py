"""Base of probes. Probes measure during the whole drill. The fields of a probe's class are its keys in YAML.

There are two kinds. An ``Availability`` probe checks a service at a fixed rate. A slow answer never delays the next sample.
A ``Canary`` writes numbered rows as a client would, and later reads back which of these rows survived. A probe only takes
single samples. The runner decides when a sample is taken, measures its time, and records it.
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
    """Names of the parameters of type ``Handed``. The value of such a parameter may refer to a secret in the inventory."""
    CODE: ClassVar[str] = ""
    """Name of a parameter. Each sample executes the text of this parameter, such as SQL. A check of a drill takes a sample only
    if this text is trusted. The name is empty for probes that execute no text of the drill.
    """

    EXAMPLE: ClassVar[str] = ""
    """Example of the probe, as the list ``probes`` of a drill. It is empty when a drill shows the probe."""

    every: Duration = Field(default=Duration(0.1), gt=0, description="Time between two samples.")
    timeout: Duration = Field(
        default=Duration(1.0),
        gt=0,
        description="Time limit of a sample. A sample that has no answer within this time counts as failed.",
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
        """Raise TypeError unless the class has a docstring. Called when the module of the class is first examined."""
        if not (cls.__dict__.get("__doc__") or "").strip():
            raise TypeError(f"{cls.name()} has no docstring")


class Availability(Probe):
    """Base of probes that test whether a service works for its clients."""

    KIND = "availability"
    ANY_SERVICE: ClassVar[bool] = False
    """True for a probe that can measure every service with an address, whatever its kind. The error for a drill without a probe
    suggests such probes, in addition to the probes for the service's kind.
    """

    @abstractmethod
    def check(self, ctx: Context) -> str | None:
        """Take one sample within the probe's timeout. Returns ``None`` on success, and otherwise the problem as text.

        This method can be called in any thread.
        """


@dataclass(frozen=True, slots=True)
class Lost:
    """Result of a write that the server did not acknowledge. ``doubt`` is True when the row may be stored nevertheless."""

    reason: str
    doubt: bool


class Canary(Probe):
    """Base of probes that write numbered rows, and record which of them were acknowledged."""

    KIND = "canary"

    def reach(self, ctx: Context) -> None:
        """Log in without changing anything. If this fails, no cleanup is needed. Raises NotReady when the login fails."""

    @abstractmethod
    def prepare(self, ctx: Context) -> None:
        """Create the table or other place for the rows. Raises NotReady when this fails."""

    @abstractmethod
    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer for one thread. If the writer needs a connection, it opens one that no other writer uses. After a
        failure, it opens a new connection.
        """

    @abstractmethod
    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the numbers of the rows that are stored now.

        No number is above ``ctx.written``, the number of the last row that was written. Raises CouldNotVerify when the rows
        cannot be read.
        """

    @abstractmethod
    def clean(self, ctx: Context) -> None:
        """Remove the rows of this run. Raises HostError or CouldNotVerify when some of the rows remain."""


class CanaryWriter:
    """Base of objects that write numbered rows. Each of them is used by one thread."""

    def write(self, number: int) -> Lost | None:
        """Write the row ``number`` and wait for the server. Returns ``None`` when the server acknowledged the row."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, if there is one. This method may be called twice."""


class ConnectedWriter(CanaryWriter, Generic[SessionT]):
    """Base of writers that use one connection.

    After a failure, the next write opens a new connection. No write is repeated.
    """

    ERRORS: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """Errors that may be raised when a broken connection is closed."""

    def __init__(self) -> None:
        """Create a writer that is not connected yet."""
        self._way = ExitStack()
        self._session: SessionT | None = None

    def session(self) -> SessionT:
        """Return the open connection, or a new one. Raises the errors of ``connect``."""
        if self._session is None:
            self.close()
            self._session = self.connect(self._way)
        return self._session

    def connect(self, way: ExitStack) -> SessionT:
        """Open a connection.

        Everything that must be closed together with the connection, such as a tunnel, must be added to the stack ``way``.
        Raises the errors of the driver.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, if there is one. This method may be called twice."""
        self._session = None
        way, self._way = self._way, ExitStack()
        with suppress(*self.ERRORS):
            way.close()


def find_probe(name: str) -> type[Any]:
    """Return the class of the probe ``name``. Raises UnknownName when there is no such probe."""
    return discovery.find(name, Probe)
