"""Keys of drills and suites, except the keys of steps, probes and conditions. Lists of drills need only these keys, so this
module does not load actions.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from drillbook.plan.limits import Guard
from drillbook.plan.schedule import Every, Grace
from drillbook.values import Duration

PHASES = ("ready", "backup", "inject", "detect", "diagnose", "restore", "verify", "cleanup")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)


class Objectives(_Part):
    """Time limits that the recovery has to meet."""

    rto: Duration | None = Field(
        default=None, description=("Longest permitted time from the start of the injection to sustained recovery.")
    )
    rpo: Duration | None = Field(
        default=None,
        description=("Largest permitted loss of data, as a duration: acknowledged writes of at most this time may be lost."),
    )
    detect: Duration | None = Field(
        default=None, description=("Longest permitted time from the start of the injection to the detection of the fault.")
    )


class Head(_Part):
    """All keys of a drill except its phases and probes."""

    drill: Name = Field(description="Name of the drill. It must be the same as the name of its file.")
    title: str = Field(min_length=1, description="Purpose of the drill in one line.")
    description: str = Field(default="", description="Background information for readers of the report.")
    service: str = Field(description="Name of the service under test.")
    owner: str = Field(default="", description="Name of the contact in the inventory who is responsible for the drill.")
    objectives: Objectives = Field(
        default_factory=Objectives, description=("Objectives of the drill: RTO, RPO and time to detect.")
    )
    guard: Guard = Field(
        default_factory=Guard, description=("Limits of where and when the drill may run, and its abort conditions.")
    )
    every: Every = None
    grace: Grace = None


class Suite(_Part):
    """A suite: several drills that are run one after another."""

    suite: Name = Field(description="Name of the suite. It must be the same as the name of its file.")
    title: str = Field(min_length=1, description="Purpose of the suite in one line.")
    drills: tuple[Name, ...] = Field(min_length=1, description="Names of the drills to run, in this order.")
    every: Every = None
    grace: Grace = None
