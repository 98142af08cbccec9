"""Keys of a step or an abort condition besides its action or probe."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from drillbook.sdk.become import Account
from drillbook.values import Duration


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ConditionWords(_Words):
    """Keys of an abort condition other than its action or probe."""

    name: str = Field(default="", description="Description of the condition, in a few words.")
    hosts: str | tuple[str, ...] | None = Field(
        default=None, description="For an action: hosts or groups on which it runs; default: the service's host."
    )
    expect: str | tuple[str, ...] | None = Field(
        default=None, description="For an action: expressions over `result` that must stay true."
    )
    every: Duration | None = Field(default=None, ge=0.1, description="Time between two evaluations; default: 1s.")
    hold: Duration = Field(
        default=Duration(0), alias="for", ge=0, description="Time that the condition must be bad before it ends the run."
    )
    timeout: Duration | None = Field(default=None, gt=0, description="For an action: time limit of one evaluation.")
    tries: int = Field(
        default=3, ge=1, le=100, description="Number of consecutive evaluations without an answer that also end the run."
    )


class Keywords(_Words):
    """Keys of a step other than its action."""

    name: str = Field(default="", description="Purpose of the step, in a few words.")
    hosts: str | tuple[str, ...] | None = Field(
        default=None, description="Hosts or groups of the step; default: the service's host."
    )
    save: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = Field(
        default=None, description="Name by which later steps refer to the facts of this step."
    )
    when: str | None = Field(
        default=None,
        description=("Expression; when it is false the step is skipped. A skipped verification does not count as passed."),
    )
    timeout: Duration | None = Field(
        default=None, gt=0, description="Time limit of one attempt, or of all attempts together with `every`."
    )
    retries: int = Field(default=0, ge=0, le=100, description="Number of further attempts after a failure.")
    every: Duration | None = Field(
        default=None, gt=0, description="Interval for polling: the step is repeated until it succeeds or `timeout` expires."
    )
    expect: str | tuple[str, ...] | None = Field(default=None, description="Expressions over `result` that must be true.")
    allow_failure: str | None = Field(default=None, min_length=3, description="Reason why the step may fail.")
    become: Account | None = Field(
        default=None,
        description=(
            "Account that runs the step's commands and accesses files, by sudo: `true` for root, `false` for the SSH user, or "
            "a name; default: that of the service, otherwise of the host."
        ),
    )
