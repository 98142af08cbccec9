"""Diagnosis as a step of a drill: does it name the cause that was injected?"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field

from drillbook.action import Context, Facts, Place, Read
from drillbook.diagnosing import scope
from drillbook.diagnosing.diagnosis import Book, Diagnosis, examine
from drillbook.errors import PlanError, StepFailed
from drillbook.findings import finding
from drillbook.host import printable
from drillbook.values import Duration

MOST_RANKED = 10


class Finds(Read):
    """Diagnose a service and all that it needs, as `invoke diagnose` does, and compare the cause with the expected one.

    It applies the trees of `drills/diagnosis/`, which are part of the drill's plan; see diagnosis.md.
    """

    PLACE = Place.CONTROLLER

    service: Annotated[str, Field(description="Name of the service that is diagnosed.")]
    cause: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description=(
        "The expected cause, as the trees name it; `healthy`: that nothing is wrong."))]
    within: Annotated[Duration, Field(gt=0, description="Time for all checks together.")] = Duration(25)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``expected found correct seconds error_s ranked why evidence``; fails when another cause was found."""
        if not isinstance(ctx.book, Book):
            raise PlanError(f"{ctx.step}: no diagnosis trees are known here")
        services = scope.around(ctx.book.inventory.services, self.service)
        facts = _facts(self.cause, examine(ctx, ctx.book, services, float(self.within)), ctx)
        ctx.note("diagnosed", facts)
        if not facts["correct"]:
            said = "; ".join(facts["why"][:3]) or ", ".join(one["title"] for one in facts["ranked"][:2])
            raise StepFailed(f"diagnosed {facts['found']}, not {self.cause}: {said}"[:600], facts=facts, findings=[finding(
                "diagnosis-wrong", title=self.service, wanted=self.cause, measured=f"{facts['found']}: {said}"[:600])])
        return facts


def _facts(expected: str, found: Diagnosis, ctx: Context) -> Facts:
    plain = found.model_dump(mode="json")
    evidence = ctx.evidence("diagnosis.json", json.dumps(plain, indent=1, ensure_ascii=False))
    return {"expected": expected, "found": found.found, "correct": found.found == expected, "seconds": found.seconds,
            "error_s": found.error_s, "ranked": plain["ranked"][:MOST_RANKED],
            "why": [printable(one, limit=400) for one in found.why[:MOST_RANKED]], "evidence": evidence}
