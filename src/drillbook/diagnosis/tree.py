"""A diagnosis tree in memory: read-only checks, and causes with the observations for and against them.

The plan of a drill contains the trees that the drill uses, as data.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.values import Duration

Impact = Literal["unavailable", "degraded", "wrong-data", "wrong-function"]
CauseName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
CHECK_S = 15.0
"""Default timeout of a check, in seconds."""


class Part(BaseModel):
    """Base of the models for all parts of a diagnosis tree."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Words(Part):
    """All keys of a check except the key that names its action. Examples are ``when`` and ``timeout``."""

    name: str = Field(default="", description="Subject of the check, in a few words.")
    when: str | None = Field(default=None, description="Expression. When it is false, the check is skipped.")
    needs: tuple[str, ...] = Field(
        default=(),
        description=(
            "Kinds of service that the inventory must have. If the inventory lacks one of them, the check is skipped."
        ),
    )
    timeout: Duration = Field(default=Duration(CHECK_S), gt=0, description="Time limit of the check.")
    optional: bool = Field(
        default=False,
        description="If true, the result of the diagnosis can be `healthy` even when this check could not run.",
    )


class Check(Part):
    """A check: one read-only action with its parameters. ``words``: all further keys of the check in the file."""

    id: str
    action: str
    params: dict[str, Any]
    words: Words


class Observation(Part):
    """Evidence for or against a cause. It counts when its condition is true."""

    when: str = Field(description="Expression over the facts of checks.")
    weight: int = Field(default=1, ge=1, le=10, description="Weight of the observation.")
    says: str = Field(default="", description="Description of the observation. By default, it is the expression.")


class Remedy(Part):
    """Remedy of a cause: instructions for a person, and a step if Drillbook can carry out the remedy."""

    text: str = Field(min_length=3, description="Instructions for a person.")
    contacts: tuple[str, ...] = Field(
        default=(),
        description="Contacts to call, named as in the inventory. Names that the inventory lacks are skipped.",
    )
    step: dict[str, Any] | None = Field(
        default=None, description="One action with its parameters. The option `--apply` runs this action."
    )


class Cause(Part):
    """A cause, its effect on the service, and the evidence for and against it."""

    title: str = Field(min_length=3, description="Description of the cause in one line. It may contain expressions.")
    impact: Impact = Field(
        alias="class", description="Effect of the cause: unavailable, degraded, wrong-data or wrong-function."
    )
    supports: tuple[Observation, ...] = Field(alias="for", min_length=1, description="Observations that support the cause.")
    against: tuple[Observation, ...] = Field(default=(), description="Observations that contradict the cause.")
    remedy: Remedy


class Head(Part):
    """Keys of a diagnosis tree that are not checks."""

    tree: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Name of the tree. It must equal the name of the tree's file."
    )
    title: str = Field(min_length=3, description="Subject of the tree, in one line.")
    kind: str | tuple[str, ...] = Field(description="Kind of service that the tree examines, or a list of kinds.")
    peers: bool = Field(
        default=False,
        description=(
            "If true, the tree examines pairs of services: the service itself, and one service that it needs (`peer`). There is "
            "one pair for each needed service."
        ),
    )
    healthy: tuple[str, ...] = Field(default=(), description="Expressions that are true for a healthy service.")
    causes: dict[CauseName, Cause] = Field(default_factory=dict, description="Causes by name.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of services that the tree examines."""
        return (self.kind,) if isinstance(self.kind, str) else self.kind


class Tree(Head):
    """A complete diagnosis tree: its head, and its checks by name."""

    checks: tuple[Check, ...] = ()
