"""Action that diagnoses a service as a step of a drill. The cause that the diagnosis finds is compared with the cause that
the drill expects.
"""

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
"""Seconds to wait after a diagnosis with the result `unknown`, before the next diagnosis."""


class Finds(Read):
    """Diagnose a service and its dependencies, as `invoke diagnose` does, and compare the cause found with `cause`.

    The step uses the trees of `drills/diagnosis/`, and they are part of the drill's plan; see diagnosis.md. If the result is
    `unknown`, for example because a check timed out on a busy machine, the diagnosis is repeated while time remains. After a
    wrong cause, the diagnosis is not repeated. The fact `seconds` is measured from the beginning of the first diagnosis.
    """

    PLACE = Place.CONTROLLER

    service: Annotated[str, Field(description="Name of the service to diagnose.")]
    cause: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]*$",
            description=("Expected cause, named as in the trees, or `healthy`."),
        ),
    ]
    within: Annotated[Duration, Field(gt=0, description="Time limit of all checks together.")] = Duration(25)

    def run(self, ctx: Context) -> Facts:
        """Return the facts of the diagnosis.

        ``expected``: the cause that the drill expects; ``found``: the cause that the diagnosis found; ``correct``: true when
        both are equal. ``seconds``: duration of the diagnosis; ``error_s``: its measurement error in seconds. ``ranked``:
        the 10 likeliest causes. ``why``: reasons why the result is not `healthy`. ``evidence``: the file with the whole
        diagnosis. The step fails when the two causes differ.
        """
        if not isinstance(ctx.book, Book):
            raise PlanError(f"{ctx.step}: no diagnosis trees are available")
        services = scope.around(ctx.book.inventory.services, self.service)
        facts = _facts(self.cause, self._known(ctx, ctx.book, services), ctx)
        ctx.note(Diagnosed(**facts))
        if not facts["correct"]:
            said = "; ".join(facts["why"][:3]) or ", ".join(suspect["title"] for suspect in facts["ranked"][:2])
            raise StepFailed(
                f"the diagnosis found {facts['found']}, not {self.cause}: {said}"[:600],
                facts=facts,
                findings=[
                    finding(
                        "diagnosis-wrong", title=self.service, wanted=self.cause, measured=f"{facts['found']}: {said}"[:600]
                    )
                ],
            )
        return facts

    def _known(self, ctx: Context, book: Book, services: Sequence[str]) -> Diagnosis:
        """Repeat the diagnosis until its result is not `unknown`, or until no time remains. Return the last result."""
        begun = time.monotonic()
        left = float(self.within)
        while True:
            diagnosis = examine(ctx, book, services, left)
            passed = time.monotonic() - begun
            left = min(float(self.within) - passed, ctx.deadline.remaining())
            if diagnosis.found != UNKNOWN or left < AGAIN_S + max(diagnosis.seconds, AGAIN_S):
                return diagnosis.model_copy(update={"seconds": round(passed, 3)})
            ctx.deadline.wait(AGAIN_S)
            left -= AGAIN_S


def _facts(expected: str, diagnosis: Diagnosis, ctx: Context) -> Facts:
    plain = diagnosis.model_dump(mode="json")
    evidence = ctx.evidence("diagnosis.json", json.dumps(plain, indent=1, ensure_ascii=False))
    return {
        "expected": expected,
        "found": diagnosis.found,
        "correct": diagnosis.found == expected,
        "seconds": diagnosis.seconds,
        "error_s": diagnosis.error_s,
        "ranked": plain["ranked"][:MOST_RANKED],
        "why": [printable(reason, limit=400) for reason in diagnosis.why[:MOST_RANKED]],
        "evidence": evidence,
    }
