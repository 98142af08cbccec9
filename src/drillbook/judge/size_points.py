"""Size of a service and duration of its restore in one run.

Together, the size and the duration are one data point for the growth over several runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

ACTION = "capacity.collect"


class Point(BaseModel):
    """Size of one service in one run.

    ``at``: start of the run in UTC, by the controller's clock. ``rto_s`` and ``restore_s`` are set if the run
    measured the RTO of this service and its verification passed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    at: str
    drill: str
    service: str
    bytes: int
    items: int | None = None
    unit: str = ""
    free_bytes: int | None = None
    rto_s: float | None = None
    restore_s: float | None = None


def of_run(
    *,
    run: str,
    at: str,
    drill: str,
    service: str,
    steps: Iterable[tuple[str, str, Mapping[str, Any]]],
    rto_s: float | None,
    restore_s: float | None,
) -> list[Point]:
    """Return the data points of a run.

    Each point holds the size of one service, from the last successful step ``capacity.collect`` that measured the service.
    ``steps``: triples of action, status and facts, in order. ``service``: service of the drill. ``rto_s`` and ``restore_s``:
    measured times of this service in seconds, or None when the run did not measure and verify them.
    """
    point_by_service: dict[str, Point] = {}
    for action, status, facts in steps:
        if action != ACTION or status != "done" or not isinstance(facts.get("bytes"), int):
            continue
        name = str(facts["service"])
        counts = name == service and rto_s is not None and restore_s is not None
        point_by_service[name] = Point(
            run=run,
            at=at,
            drill=drill,
            service=name,
            bytes=facts["bytes"],
            items=facts.get("items"),
            unit=str(facts.get("unit", "")),
            free_bytes=facts.get("free_bytes"),
            rto_s=rto_s if counts else None,
            restore_s=restore_s if counts else None,
        )
    return list(point_by_service.values())
