"""Data about the controller and the operator, which the first event of a run or of a recovery contains."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from drillbook.events.content import Json


class Session(TypedDict):
    """Controller and operator of a run or of its recovery. The first event of the run or recovery contains this data."""

    tool: str
    operator: str
    controller: str
    account: NotRequired[str]
    program: NotRequired[str]


class RunSession(Session):
    """Controller and operator of a run, and the approval of the run."""

    approval: NotRequired[Json | None]
    schedule: NotRequired[Json | None]
    inventory: NotRequired[str]
    routine: NotRequired[tuple[str, ...] | None]
