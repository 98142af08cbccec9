"""Probe `http.canary`: a canary that writes and reads its records through an application's own API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.language import placeholders
from drillbook.sdk import record_canary
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import MOST_BYTES
from drillbook.sdk.probe import CanaryWriter, Lost
from drillbook.sdk.record_canary import Every, RecordCanary, Timeout
from drillbook.sdk.service import handed
from drillbook.sdk.web import Answer
from drillbook.systems.http.actions.fields import ANSWER_S
from drillbook.systems.http.exchange import FlowRequest, Unexpected, compare, saved, sent
from drillbook.values import Duration, Handed

Requests = FlowRequest | Annotated[tuple[FlowRequest, ...], Field(min_length=1)]


class Canary(RecordCanary):
    """Write numbered records through an application's API. Each acknowledged record must exist after the recovery.

    This measures the RPO of the application together with all databases behind it. In URLs, headers and bodies, `${record}`
    stands for the mark of a record, which is a unique text. `${number}` stands for the number of the record, and `${run}`
    for the id of the run. Several requests are sent one after another. Each request can save values for later requests, as
    in `http.flow`.
    """

    SECRETS = frozenset({"headers"})
    EXAMPLE = """
        probes:
          - http.canary:                        # an application of yours whose API stores, lists and deletes notes
              write: {url: "{{ services.api.url }}/notes", method: POST, body: {text: "${record}"}, status: 201}
              read: {url: "{{ services.api.url }}/notes"}
              remove:
                - {url: "{{ services.api.url }}/notes?text=${record}", save: {id: 0.id}}
                - {url: "{{ services.api.url }}/notes/${id}", method: DELETE, status: 204}
    """

    write: Annotated[
        Requests,
        Field(
            description=(
                "Request, or list of requests, that stores `${record}`. The expected status means that the record is stored."
            )
        ),
    ]
    read: Annotated[
        Requests,
        Field(
            description=(
                "Request whose answer contains the marks of all stored records of the run. If it contains "
                "`${record}` or `${number}`, it is sent once for each record, and its answer contains the mark "
                "of that record."
            )
        ),
    ]
    remove: Annotated[
        Requests,
        Field(
            description=(
                "Request that removes all records of the run. If it contains `${record}` or `${number}`, it is "
                "sent once for each record. It must be safe to send the request twice."
            )
        ),
    ]
    absent: Annotated[
        tuple[int, ...],
        Field(description="Statuses by which `read` and `remove` answer that a record does not exist."),
    ] = (404, 410)
    headers: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Headers of every request. A secret must be the whole value of a header, such as `{{ services.app.token }}`."
            )
        ),
    ] = Field(default_factory=dict)
    ca: Annotated[
        str,
        Field(
            description=(
                "File of CA certificates (PEM) on the controller, with which the server's certificate is "
                "verified. Empty: the certificates of the system."
            )
        ),
    ] = ""
    every: Every = Duration(0.1)
    timeout: Timeout = Duration(1.0)

    @model_validator(mode="after")
    def _names(self) -> Self:
        for what in ("write", "read", "remove"):
            known: set[str] = set()
            for request in self.requests(what):
                record_canary.check_names([request.url, request.headers, request.body, request.contains], what, also=known)
                known |= request.save.keys()
        if not self._of_one("write"):
            raise ValueError("`write` contains neither ${record} nor ${number}, so it would store the same record each time")
        return self

    def requests(self, what: str) -> tuple[FlowRequest, ...]:
        """Return the requests of the field ``write``, ``read`` or ``remove``."""
        declared: Requests = getattr(self, what)
        return (declared,) if isinstance(declared, FlowRequest) else declared

    def _of_one(self, what: str) -> bool:
        return record_canary.of_one(
            [[request.url, request.headers, request.body, request.contains] for request in self.requests(what)]
        )

    @property
    def reads_each(self) -> bool:
        """True when `read` is sent once for each record. False when it is sent once for all records."""
        return self._of_one("read")

    @property
    def erases_each(self) -> bool:
        """True when `remove` is sent once for each record. False when it is sent once for all records."""
        return self._of_one("remove")

    def reach(self, ctx: Context) -> None:
        """Check that the application answers `read`. Raises NotReady when reading fails.

        If a request of `read` could change something, nothing is sent and nothing is checked.
        """
        if any(request.method not in ("GET", "HEAD") for request in self.requests("read")):
            return
        try:
            self.look(ctx, 0 if self.reads_each else None)
        except CouldNotVerify as error:
            raise NotReady(
                f"{self.name()} cannot read: {error.message}", hint="check the field `read` of the canary"
            ) from error

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer that opens new connections for each record."""
        return _Writer(self, ctx)

    def look(self, ctx: Context, number: int | None) -> set[int]:
        """Send the request `read`. Return the numbers of the canary records that the response contains.

        Raises CouldNotVerify when the records cannot be read.
        """
        answer = self._asked(ctx, "read", number)
        if answer is None:
            return set()
        if not answer.complete:
            raise CouldNotVerify(f"the answer to `read` is longer than {MOST_BYTES} bytes; the rest was not read")
        numbers = record_canary.numbers_in(answer.body.decode("utf-8", "replace"), ctx.run_id)
        return numbers if number is None else numbers & {number}

    def erase(self, ctx: Context, number: int | None) -> None:
        """Send `remove`. Raises CouldNotVerify when the request fails."""
        self._asked(ctx, "remove", number)

    def _asked(self, ctx: Context, what: str, number: int | None) -> Answer | None:
        """Send the requests of the field whose name is ``what``, and return the last answer. Raises CouldNotVerify when an
        answer is unexpected.

        An answer with a status in ``absent`` means that the record does not exist. The result is then None.
        """
        try:
            return self.exchanged(ctx, what, number, ANSWER_S)
        except Unexpected as error:
            if error.status in self.absent:
                return None
            about = "" if number is None else f" of {record_canary.mark(ctx.run_id, number)}"
            raise CouldNotVerify(f"`{what}`{about}: {error.measured}") from None

    def exchanged(self, ctx: Context, what: str, number: int | None, limit: float) -> Answer:
        """Send the requests of the field ``what``, and wait for each for at most ``limit`` seconds. Return the last answer.

        Raises Unexpected when an answer is not as the drill expects.
        """
        values: dict[str, Any] = dict(record_canary.values(ctx.run_id, number))
        own = set(values)
        headers = self._headers(ctx)
        for request in self.requests(what):
            try:
                answer = sent(ctx, request, values, headers=headers, limit=limit, ca=self.ca, size=MOST_BYTES)
                compare(request, answer, values)
                values |= saved(request, answer)
            except Unexpected as error:
                hidden = [str(value) for name, value in values.items() if name not in own]
                said = f"{request.called}: {placeholders.hide(error.with_body, hidden)}"
                raise Unexpected(error.wanted, said, status=error.status, refused=error.refused) from None
        return answer

    def _headers(self, ctx: Context) -> Mapping[str, str]:
        given = {name: handed(value, ctx.services) for name, value in self.headers.items()}
        return {name: value if isinstance(value, str) else value.reveal() for name, value in given.items()}


class _Writer(CanaryWriter):
    """Writer that stores records by requests. Each request uses a new connection, and no request is sent twice."""

    def __init__(self, canary: Canary, ctx: Context) -> None:
        self._canary, self._ctx = canary, ctx

    def write(self, number: int) -> Lost | None:
        """Send the requests that store a record.

        Returns None when the record was stored, and otherwise the failure. The failure proves that the record was not stored
        only if `write` has a single request, and this request was refused: no connection was accepted, or the answer has a
        status 4xx. After any other failure, it is unknown whether the record was stored.
        """
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
