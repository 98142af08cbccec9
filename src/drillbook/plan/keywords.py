"""Keys that may be written next to the action or probe of a step or of an abort condition."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from drillbook.sdk.become import Account
from drillbook.values import Duration


class _Words(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)


class ConditionWords(_Words):
    """All keys of an abort condition except the key that names its action or probe."""

    name: str = Field(default="", description="Description of the condition, in a few words.")
    hosts: str | tuple[str, ...] | None = Field(
        default=None,
        description=(
            "For a condition with an action: hosts or groups on which the action runs. Default: the host of the service."
        ),
    )
    expect: str | tuple[str, ...] | None = Field(
        default=None, description="For a condition with an action: expressions that use `result` and must stay true."
    )
    every: Duration | None = Field(
        default=None,
        ge=0.1,
        description=(
            "Time between two evaluations. Default: the parameter `every` of the probe, if it is set, otherwise 1s."
        ),
    )
    hold: Duration = Field(
        default=Duration(0),
        alias="for",
        ge=0,
        description=(
            "Time for which the condition must fail before the run is ended. A successful evaluation starts this time again. "
            "An evaluation without an answer does not start it again."
        ),
    )
    timeout: Duration | None = Field(
        default=None, gt=0, description=("For a condition with an action: time limit of one evaluation.")
    )
    tries: int = Field(
        default=3,
        ge=1,
        le=100,
        description=("Maximum number of evaluations in a row without an answer. After the last of them, the run is ended."),
    )


class Keywords(_Words):
    """All keys of a step except the key that names its action."""

    name: str = Field(default="", description="Purpose of the step, in a few words.")
    hosts: str | tuple[str, ...] | None = Field(
        default=None,
        description=(
            "Hosts or groups on which the step runs. Default: the host of the service, or the controller for an action "
            "that runs there. An action that runs on named hosts has no default."
        ),
    )
    save: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] | None = Field(
        default=None, description="Name by which later steps refer to the facts of this step."
    )
    when: str | None = Field(
        default=None,
        description=(
            "Expression. When its value is false, the step is skipped. A skipped verification does not count as passed."
        ),
    )
    timeout: Duration | None = Field(
        default=None,
        gt=0,
        description=(
            "Time limit of one attempt of the step. When `every` is set, it is the time limit of all attempts together."
        ),
    )
    retries: int = Field(
        default=0, ge=0, le=100, description="Number of further attempts after the first attempt has failed."
    )
    every: Duration | None = Field(
        default=None,
        gt=0,
        description=("Interval between attempts. The step is repeated until it succeeds, or until `timeout` has passed."),
    )
    expect: str | tuple[str, ...] | None = Field(
        default=None,
        description=(
            "Expressions that test the result of the step under the name `result`. The step succeeds only when all "
            "expressions are true."
        ),
    )
    allow_failure: str | None = Field(
        default=None, min_length=3, description=("Reason why the drill may go on after this step has failed.")
    )
    become: Account | None = Field(
        default=None,
        description=(
            "Account that runs the commands of the step and accesses files. The commands change to this account by "
            "sudo. Values: `true` for root, `false` for the SSH user, or the name of an account. Default: the "
            "account in the `become` of the service, or otherwise in the `become` of the host."
        ),
    )
