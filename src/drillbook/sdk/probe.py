"""A probe: a measurement that runs beside the whole drill. Like an action, its fields are its YAML keys.

Two kinds: an ``Availability`` probe asks at a fixed rate whether a service is good, open-loop, so that a hanging
answer never delays the next question; a ``Canary`` writes numbered rows as a client would, and later reads back
which of them survived. Both only do one sample; the runner keeps the rate, the clock and the record.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.sdk import discovery
from drillbook.sdk.action import Context
from drillbook.values import Duration

MOST_AT_ONCE = 30


class Probe(BaseModel):
    """Base of all probes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    PART: ClassVar[str] = "probes"
    KIND: ClassVar[str] = ""

    every: Duration = Field(default=Duration(0.1), gt=0, description="Time between two samples.")
    timeout: Duration = Field(default=Duration(1.0), gt=0, description="A sample without an answer by then is bad.")

    @model_validator(mode="after")
    def _at_once(self) -> Self:
        if self.timeout / self.every > MOST_AT_ONCE:
            raise ValueError(
                f"`timeout` over `every` is the number of samples that can be under way at once; "
                f"{self.timeout / self.every:.0f} are more than {MOST_AT_ONCE}"
            )
        return self

    @classmethod
    def name(cls) -> str:
        """The name in YAML, such as ``http.available``."""
        return discovery.name_of(cls)

    @classmethod
    def check_declaration(cls) -> None:
        """Raise TypeError unless the class has a docstring; asked when its module is first looked into."""
        if not (cls.__dict__.get("__doc__") or "").strip():
            raise TypeError(f"{cls.name()} has no docstring")

    def known(self, field_name: str) -> bool:
        """True when the field has a value."""
        return field_name in self.__dict__


class Availability(Probe):
    """Is a service good, as its clients see it?"""

    KIND = "availability"

    @abstractmethod
    def check(self, ctx: Context) -> str | None:
        """One question with the probe's timeout, from any thread: ``None`` when good, otherwise what was bad."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A write that was not acknowledged; ``doubt`` is True when it may have happened all the same."""

    reason: str
    doubt: bool


class Canary(Probe):
    """Numbered writes with acknowledgements."""

    KIND = "canary"

    def reach(self, ctx: Context) -> None:
        """Log in, and change nothing: where that fails there is nothing to clean up later. Raises NotReady."""

    @abstractmethod
    def prepare(self, ctx: Context) -> None:
        """Make the place that the writes go to. Raises NotReady."""

    @abstractmethod
    def writer(self, ctx: Context) -> CanaryWriter:
        """A writer for one thread; it connects by itself and again after a failure."""

    @abstractmethod
    def survivors(self, ctx: Context) -> Iterable[int]:
        """The numbers that are there now. Raises CouldNotVerify."""

    @abstractmethod
    def clean(self, ctx: Context) -> None:
        """Remove this run's rows; whatever cannot be removed raises HostError or CouldNotVerify."""


class CanaryWriter:
    """One connection that writes numbers."""

    def write(self, number: int) -> Lost | None:
        """Write ``number`` and wait for the acknowledgement: ``None`` when acknowledged."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection; safe to call twice."""


def find_probe(name: str) -> type[Any]:
    """The class of the probe ``name``. Raises UnknownName."""
    return discovery.find(name, Probe)
