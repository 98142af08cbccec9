"""Action `http.flow`: send a sequence of requests as a client does."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.language import placeholders
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.http.exchange import FlowRequest, Name, Unexpected, compare, saved, sent

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing on a server."""


class Flow(Read):
    """Send several requests one after another, as a client does.

    A request can use values from the answers to earlier requests.
    """

    PLACE = Place.CONTROLLER
    TIMEOUT = 60.0
    ANY_DATA = True

    steps: Annotated[tuple[FlowRequest, ...], Field(min_length=1, description="Requests to send, in this order.")]
    show: Annotated[tuple[Name, ...], Field(description="Names of the saved values that the report shows.")] = ()

    @model_validator(mode="after")
    def _saved_before(self) -> Self:
        saved: set[str] = set()
        for step in self.steps:
            used = placeholders.names([step.url, step.headers, step.body, step.contains])
            if unknown := sorted(used - saved):
                raise ValueError(f"{step.called}: no earlier request saves {unknown[0]!r}")
            saved |= step.save.keys()
        if unknown := sorted(set(self.show) - saved):
            raise ValueError(f"`show` contains {unknown[0]!r}, which no request saves")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``effect`` (`read` when all methods only read, otherwise `write`), ``requests`` (for each request its
        name, status, seconds and bytes), ``saved`` (the values named in `show`), ``seconds``.

        If an answer is not the expected answer, the step fails, and the fact ``body`` is the beginning of this answer.
        """
        values: dict[str, Any] = {}
        done: list[Facts] = []
        for number, step in enumerate(self.steps, 1):
            try:
                values |= self._taken(ctx, step, values, done)
            except Unexpected as error:
                raise self._failed(number, step, error, done, values) from None
        return self._facts(done, values)

    def _failed(
        self, number: int, step: FlowRequest, error: Unexpected, done: list[Facts], values: dict[str, Any]
    ) -> StepFailed:
        """Return the error for an answer that is not the expected one. The body of the answer is only in the facts of the
        error.
        """
        hidden = [str(value) for name, value in values.items() if name not in self.show]
        measured, body = placeholders.hide(error.measured, hidden), placeholders.hide(error.body, hidden)
        what = measured if error.status is None else f"answered {error.status}, expected {step.status}"
        return StepFailed(
            f"request {number} of {len(self.steps)}, {step.called}: {what}",
            facts=self._facts(done, values) | ({"body": body} if body else {}),
            findings=[finding("http-unexpected", title=step.called, wanted=error.wanted, measured=measured)],
        )

    def _facts(self, done: list[Facts], values: dict[str, Any]) -> Facts:
        return {
            "effect": "read" if all(step.method in READING for step in self.steps) else "write",
            "requests": done,
            "seconds": round(sum(request["seconds"] for request in done), 6),
            "saved": {name: value if name in self.show else None for name, value in values.items()},
        }

    @staticmethod
    def _taken(ctx: Context, step: FlowRequest, values: dict[str, Any], done: list[Facts]) -> dict[str, Any]:
        """Send one request, append its result to ``done``, and return the values that the step saves.

        Raises Unexpected when the answer is not as the step expects.
        """
        answer = sent(ctx, step, values)
        done.append(
            {
                "name": step.called,
                "status": answer.status,
                "seconds": round(answer.seconds, 6),
                "bytes": len(answer.body),
            }
        )
        compare(step, answer, values)
        return saved(step, answer)
