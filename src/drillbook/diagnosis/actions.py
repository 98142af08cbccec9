"""Diagnosis as a step of a drill: does it name the cause that was injected?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from drillbook.diagnosis import scope
from drillbook.diagnosis.ranking import UNKNOWN
from drillbook.diagnosis.run import Book, Diagnosis, examine
from drillbook.errors import PlanError, StepFailed
from drillbook.events.steps import Diagnosed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import printable
from drillbook.values import Duration

MOST_RANKED = 10
AGAIN_S = 0.5
"""Seconds after an answer `unknown` until it is looked at again."""


class Finds(Read):
    """Diagnose a service and all that it needs, as `invoke diagnose` does, and compare the cause with the expected one.

    It applies the trees of `drills/diagnosis/`, which are part of the drill's plan; see diagnosis.md. While the answer is
    `unknown`, as where a busy machine does not answer a check in time, it looks again as long as there is time for another
    look; a wrong answer stands. `seconds` count from the first look.
    """

    PLACE = Place.CONTROLLER

    service: Annotated[str, Field(description="Name of the service that is diagnosed.")]
    cause: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]*$",
            description=("The expected cause, as the trees name it; `healthy`: that nothing is wrong."),
        ),
    ]
    within: Annotated[Duration, Field(gt=0, description="Time for all looks together.")] = Duration(25)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``expected found correct seconds error_s ranked why evidence``; fails when another cause was found."""
        if not isinstance(ctx.book, Book):
            raise PlanError(f"{ctx.step}: no diagnosis trees are known here")
        services = scope.around(ctx.book.inventory.services, self.service)
        facts = _facts(self.cause, self._known(ctx, ctx.book, services), ctx)
        ctx.note(Diagnosed(**facts))
        if not facts["correct"]:
            said = "; ".join(facts["why"][:3]) or ", ".join(one["title"] for one in facts["ranked"][:2])
            raise StepFailed(
                f"diagnosed {facts['found']}, not {self.cause}: {said}"[:600],
                facts=facts,
                findings=[
                    finding(
                        "diagnosis-wrong", title=self.service, wanted=self.cause, measured=f"{facts['found']}: {said}"[:600]
                    )
                ],
            )
        return facts

    def _known(self, ctx: Context, book: Book, services: Sequence[str]) -> Diagnosis:
        """The first answer that is not `unknown`, or the last one for which there was time."""
        begun = time.monotonic()
        left = float(self.within)
        while True:
            found = examine(ctx, book, services, left)
            passed = time.monotonic() - begun
            left = min(float(self.within) - passed, ctx.deadline.remaining())
            if found.found != UNKNOWN or left < AGAIN_S + max(found.seconds, AGAIN_S):
                return found.model_copy(update={"seconds": round(passed, 3)})
            ctx.deadline.wait(AGAIN_S)
            left -= AGAIN_S


def _facts(expected: str, found: Diagnosis, ctx: Context) -> Facts:
    plain = found.model_dump(mode="json")
    evidence = ctx.evidence("diagnosis.json", json.dumps(plain, indent=1, ensure_ascii=False))
    return {
        "expected": expected,
        "found": found.found,
        "correct": found.found == expected,
        "seconds": found.seconds,
        "error_s": found.error_s,
        "ranked": plain["ranked"][:MOST_RANKED],
        "why": [printable(one, limit=400) for one in found.why[:MOST_RANKED]],
        "evidence": evidence,
    }
