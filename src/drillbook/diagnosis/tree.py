"""A diagnosis tree as a value: checks that read, causes with what speaks for and against each. A plan holds it as data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.values import Duration

Impact = Literal["unavailable", "degraded", "wrong-data", "wrong-function"]
CauseName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
CHECK_S = 15.0
"""Seconds that a check may take when it names no ``timeout``."""


class Part(BaseModel):
    """What all parts of a tree share."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Words(Part):
    """What a check may say beside its action."""

    name: str = Field(default="", description="What it looks at, in a few words.")
    when: str | None = Field(default=None, description="Expression; the check is left out when it is false.")
    needs: tuple[str, ...] = Field(
        default=(), description="Kinds of service that the inventory must have; else the check is left out."
    )
    timeout: Duration = Field(default=Duration(CHECK_S), gt=0, description="Time for it.")
    optional: bool = Field(default=False, description="True: that it could not be made hinders no `healthy`.")


class Check(Part):
    """One reading action with its parameters, and the words beside it."""

    id: str
    action: str
    params: dict[str, Any]
    words: Words


class Observation(Part):
    """What speaks for or against a cause, when it is true."""

    when: str = Field(description="Expression over the facts of checks.")
    weight: int = Field(default=1, ge=1, le=10, description="How much it counts.")
    says: str = Field(default="", description="What was seen, in words; default: the expression.")


class Remedy(Part):
    """What helps: words, and where Drillbook can do it, a step."""

    text: str = Field(min_length=3, description="What to do, for a person.")
    contacts: tuple[str, ...] = Field(
        default=(), description="Whom to call: names of the inventory's contacts; those that it has not are left out."
    )
    step: dict[str, Any] | None = Field(default=None, description="One action with its parameters, which `--apply` runs.")


class Cause(Part):
    """A cause, what it does to the service, and what speaks for and against it."""

    title: str = Field(min_length=3, description="The cause in one line; may hold expressions.")
    impact: Impact = Field(alias="class", description="unavailable, degraded, wrong-data or wrong-function.")
    supports: tuple[Observation, ...] = Field(alias="for", min_length=1, description="What speaks for it.")
    against: tuple[Observation, ...] = Field(default=(), description="What speaks against it.")
    remedy: Remedy


class Head(Part):
    """The keys of a tree beside its checks."""

    tree: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Name of the tree; the same as its file's.")
    title: str = Field(min_length=3, description="What it examines, in one line.")
    kind: str | tuple[str, ...] = Field(description="Kind, or kinds, of service that it examines.")
    peers: bool = Field(
        default=False,
        description=("True: it examines a service together with each service that it needs (`peer`), once for each."),
    )
    healthy: tuple[str, ...] = Field(default=(), description="Expressions that are true of a healthy service.")
    causes: dict[CauseName, Cause] = Field(default_factory=dict, description="Causes by name.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of service that it examines."""
        return (self.kind,) if isinstance(self.kind, str) else self.kind


class Tree(Head):
    """A whole tree."""

    checks: tuple[Check, ...] = ()
