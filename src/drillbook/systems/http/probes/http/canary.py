"""Probe `http.canary`: a canary through an application's own API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.language import placeholders
from drillbook.sdk import record_canary
from drillbook.sdk.action import Context
from drillbook.sdk.answers import MOST_BYTES
from drillbook.sdk.probe import CanaryWriter, Lost
from drillbook.sdk.record_canary import RecordCanary
from drillbook.sdk.service import handed
from drillbook.sdk.web import Answer
from drillbook.systems.http.actions.fields import ANSWER_S
from drillbook.systems.http.exchange import FlowRequest, Unexpected, compare, saved, sent
from drillbook.values import Duration, Handed

Requests = FlowRequest | Annotated[tuple[FlowRequest, ...], Field(min_length=1)]


class Canary(RecordCanary):
    """Write numbered records through an application's API; each acknowledged record must exist after the recovery.

    This measures the RPO of the whole path, with all databases behind the application. In URLs, headers and bodies `${record}`
    stands for the mark of a record, `${number}` for its number, `${run}` for the id of the run. Several requests are sent one
    after another, and can save values for those that follow, as in `http.flow`.
    """

    SECRETS = frozenset({"headers"})

    write: Annotated[
        Requests,
        Field(description="Request, or list of requests, that stores `${record}`; the expected status acknowledges it."),
    ]
    read: Annotated[
        Requests,
        Field(
            description=(
                "Request whose answer contains the marks of all stored records of the run. With `${record}` or `${number}` it "
                "is sent for each record, and answers with the mark of this one."
            )
        ),
    ]
    remove: Annotated[
        Requests,
        Field(
            description=(
                "Request that removes all records of the run; with `${record}` or `${number}`, sent for each record. It must "
                "be safe to send twice."
            )
        ),
    ]
    absent: Annotated[
        tuple[int, ...],
        Field(description="Statuses that mean that there is no such record, as an answer to `read` and `remove`."),
    ] = (404, 410)
    headers: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Headers of every request. Write a secret as a whole value: `{{ services.app.token }}` and nothing else."
            )
        ),
    ] = Field(default_factory=dict)
    ca: Annotated[
        str,
        Field(
            description=(
                "File on the controller with the certificates (PEM) that the server's certificate is verified with; empty: "
                "those of the system."
            )
        ),
    ] = ""
    every: Duration = Field(
        default=Duration(0.1), gt=0, description="Time between two writes; the resolution of the measured RPO."
    )
    timeout: Duration = Field(
        default=Duration(1.0),
        gt=0,
        description="Time limit of a write; a record not acknowledged by then may or may not be stored.",
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        for what in ("write", "read", "remove"):
            known: set[str] = set()
            for one in self.requests(what):
                record_canary.check_names([one.url, one.headers, one.body, one.contains], what, also=known)
                known |= one.save.keys()
        if not self._of_one("write"):
            raise ValueError("`write` contains neither ${record} nor ${number}, so it would store the same record each time")
        return self

    def requests(self, what: str) -> tuple[FlowRequest, ...]:
        """Return the requests of ``write``, ``read`` or ``remove``."""
        declared: Requests = getattr(self, what)
        return (declared,) if isinstance(declared, FlowRequest) else declared

    def _of_one(self, what: str) -> bool:
        return record_canary.of_one([[one.url, one.headers, one.body, one.contains] for one in self.requests(what)])

    @property
    def reads_each(self) -> bool:
        """True when `read` names one record."""
        return self._of_one("read")

    @property
    def erases_each(self) -> bool:
        """True when `remove` names one record."""
        return self._of_one("remove")

    def reach(self, ctx: Context) -> None:
        """Send `read`, if it only gets something: the application must answer. Raises NotReady."""
        if any(one.method not in ("GET", "HEAD") for one in self.requests("read")):
            return
        try:
            self.look(ctx, 0 if self.reads_each else None)
        except CouldNotVerify as error:
            raise NotReady(f"{self.name()} cannot read: {error.message}", hint="check its `read`") from error

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer that sends each record over new connections."""
        return _Writer(self, ctx)

    def look(self, ctx: Context, number: int | None) -> set[int]:
        """Send `read` and return the numbers of the marks in its answer. Raises CouldNotVerify."""
        answer = self._asked(ctx, "read", number)
        if answer is None:
            return set()
        if not answer.complete:
            raise CouldNotVerify(f"the answer to `read` is longer than {MOST_BYTES} bytes; the rest was not read")
        found = record_canary.numbers_in(answer.body.decode("utf-8", "replace"), ctx.run_id)
        return found if number is None else found & {number}

    def erase(self, ctx: Context, number: int | None) -> None:
        """Send `remove`. Raises CouldNotVerify."""
        self._asked(ctx, "remove", number)

    def _asked(self, ctx: Context, what: str, number: int | None) -> Answer | None:
        """Send the requests of ``what``; return the last answer, or None for an answer of ``absent``. Raises CouldNotVerify."""
        try:
            return self.exchanged(ctx, what, number, ANSWER_S)
        except Unexpected as error:
            if error.status in self.absent:
                return None
            about = "" if number is None else f" of {record_canary.mark(ctx.run_id, number)}"
            raise CouldNotVerify(f"`{what}`{about}: {error.measured}") from None

    def exchanged(self, ctx: Context, what: str, number: int | None, limit: float) -> Answer:
        """Send the requests of ``what`` within ``limit`` seconds each; return the last answer. Raises Unexpected."""
        values: dict[str, Any] = dict(record_canary.values(ctx.run_id, number))
        own = set(values)
        headers = self._headers(ctx)
        for one in self.requests(what):
            try:
                answer = sent(ctx, one, values, headers=headers, limit=limit, ca=self.ca, size=MOST_BYTES)
                compare(one, answer, values)
                values |= saved(one, answer)
            except Unexpected as error:
                hidden = [str(value) for name, value in values.items() if name not in own]
                said = f"{one.called}: {placeholders.hide(error.measured, hidden)}"
                raise Unexpected(error.wanted, said, status=error.status, refused=error.refused) from None
        return answer

    def _headers(self, ctx: Context) -> Mapping[str, str]:
        given = {name: handed(value, ctx.services) for name, value in self.headers.items()}
        return {name: value if isinstance(value, str) else value.reveal() for name, value in given.items()}


class _Writer(CanaryWriter):
    """Writer of records by requests, each over a new connection. No request is sent twice."""

    def __init__(self, canary: Canary, ctx: Context) -> None:
        self._canary, self._ctx = canary, ctx

    def write(self, number: int) -> Lost | None:
        """Send the requests; a refused connection or a refusal (4xx) of a single request stored nothing for certain."""
        canary = self._canary
        single = len(canary.requests("write")) == 1
        try:
            canary.exchanged(self._ctx, "write", number, float(canary.timeout))
        except Unexpected as error:
            refused = error.refused or (error.status is not None and 400 <= error.status < 500)
            return Lost(error.measured, doubt=not (single and refused))
        except CouldNotVerify as error:
            return Lost(error.message, doubt=True)
        return None
