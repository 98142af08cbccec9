"""Limits of a run: where and when it may begin, how many hosts its faults may affect, and what ends it early.

Each limit is a key of `guard` in a drill (`Guard`), a field of the plan (`PlannedGuard`), and a sentence in the shown plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic import field_validator as check_field

from drillbook.plan.planned_step import PlannedProbe, PlannedStep, PlanPart
from drillbook.plan.window import Window
from drillbook.values import Duration


def _everywhere(value: object) -> object:
    """Convert a number to ``{"all": number}``, which means a limit for all hosts together. Return a value of another
    type unchanged.
    """
    return {"all": value} if isinstance(value, int) and not isinstance(value, bool) else value


_SHARE: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 100}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 1}
Counts = Annotated[
    dict[str, Annotated[int, Field(ge=1)]],
    BeforeValidator(_everywhere),
    WithJsonSchema({"anyOf": [_COUNT, {"type": "object", "additionalProperties": _COUNT}]}),
]
Shares = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=100)]],
    BeforeValidator(_everywhere),
    WithJsonSchema({"anyOf": [_SHARE, {"type": "object", "additionalProperties": _SHARE}]}),
]


class Guard(BaseModel):
    """Guard of a drill.

    The guard limits where and when the drill may run, and how many hosts faults may affect. It also contains the abort
    conditions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    environments: tuple[str, ...] = Field(
        default=("lab",),
        description=(
            "Environments in which the drill may run. In any other environment, the drill is refused. `lab` also permits "
            "`docker-lab`, the environment of the Docker lab, in an inventory with `lab: docker`."
        ),
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        description=(
            "Windows in which the drill may begin. Each has `days`, `from`, `to` and `zone`. By default, the "
            "drill may begin at any time."
        ),
    )
    max_hosts: Counts = Field(
        default_factory=dict,
        description=(
            "Maximum number of hosts that faults may affect: one number for all hosts, or a number for each group."
        ),
    )
    max_percent: Shares = Field(
        default_factory=dict,
        description=(
            "Maximum percentage of hosts that faults may affect: one number for all hosts, or a number for each group."
        ),
    )
    abort_if: tuple[dict[str, Any], ...] = Field(
        default=(),
        description=("Abort conditions: probes and read-only actions. When one of them fails, the run ends at once."),
    )
    hosts: str | tuple[str, ...] = Field(
        default=(), description="Hosts that must stay reachable. When two consecutive checks of a host fail, the run ends."
    )
    lease: Duration = Field(
        default=Duration(30),
        description=(
            "Duration of leases, 5s to 1h. When a run has not renewed a lease for this time, the target undoes "
            "the fault by itself."
        ),
    )
    approval: bool = Field(
        default=False,
        description=(
            "True: the drill needs `--confirm ENVIRONMENT` and a signed approval. In protected environments it "
            "always needs both."
        ),
    )

    @check_field("lease")
    @classmethod
    def _lease(cls, value: Duration) -> Duration:
        if not 5 <= value <= 3600:
            raise ValueError(f"expected 5s to 1h, not {value}")
        return value


class PlannedCondition(PlanPart):
    """An abort condition: a probe or a read-only step. The run is aborted when its result turns bad."""

    id: str
    name: str
    step: PlannedStep | None = None
    probe: PlannedProbe | None = None
    every_s: float
    for_s: float
    tries: int

    @property
    def what(self) -> str:
        """Name of the action or probe that checks the condition."""
        return self.step.action if self.step else self.probe.name if self.probe else ""

    @property
    def title(self) -> str:
        """Short description of the condition.

        It is the condition's own name or, if the condition has none, the name of its action or probe.
        """
        return self.name or self.what

    def sentence(self) -> str:
        """Return the condition in words: its check, its schedule, and when it counts as failed."""
        where = f" on {', '.join(self.step.hosts)}" if self.step else ""
        wanted = f", {' and '.join(self.step.expect)}" if self.step and self.step.expect else ""
        lasting = f"for {self.for_s:g} s" if self.for_s else "once"
        name = f"{self.name}: " if self.name else ""
        return (
            f"{name}{self.what}{where}{wanted} (every {self.every_s:g} s; bad {lasting}, or {self.tries} "
            "checks without an answer)"
        )


class PlannedGuard(PlanPart):
    """Limits of a run: its windows, the number of hosts that faults may affect, its abort conditions, and the duration of
    its leases.
    """

    windows: tuple[Window, ...] = ()
    max_hosts: dict[str, int] = {}
    max_percent: dict[str, int] = {}
    conditions: tuple[PlannedCondition, ...] = ()
    hosts: tuple[str, ...] = ()
    lease_s: float = 30.0
    approval: bool = False

    @classmethod
    def of(
        cls,
        guard: Guard,
        conditions: tuple[PlannedCondition, ...],
        hosts_of: Callable[[str | tuple[str, ...], str], tuple[str, ...]],
    ) -> PlannedGuard:
        """Return the planned form of ``guard``. ``conditions``: its abort conditions in planned form.

        ``hosts_of(pattern, key)`` returns the hosts of the inventory that ``pattern`` selects. The pattern is the value
        of the guard's key ``key``.
        """
        return cls(
            windows=guard.windows,
            max_hosts=guard.max_hosts,
            max_percent=guard.max_percent,
            conditions=conditions,
            hosts=hosts_of(guard.hosts, "hosts") if guard.hosts else (),
            lease_s=float(guard.lease),
            approval=guard.approval,
        )

    def sentences(self) -> Iterator[str]:
        """Yield one sentence for each limit that a person who reads the plan must know.

        The approval is not among them: the plan shows it with the name of the approver.
        """
        if self.windows:
            yield f"may begin {'; or '.join(map(str, self.windows))}"
        for limits, unit in ((self.max_hosts, ""), (self.max_percent, " %")):
            for group, most in limits.items():
                hosts = "all hosts" if group == "all" else f"the hosts of {group}"
                yield f"faults hit at most {most}{unit} of {hosts}"
        for condition in self.conditions:
            yield f"the run ends at once when this condition fails: {condition.sentence()}"
        if self.hosts:
            yield f"the run ends at once when one of these hosts is unreachable twice in a row: {', '.join(self.hosts)}"
