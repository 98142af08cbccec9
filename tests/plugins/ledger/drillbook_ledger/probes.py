"""Probes of ledgers."""

from __future__ import annotations

from collections.abc import Iterable

from drillbook.sdk import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.probe import Availability, CanaryWriter, Lost
from drillbook.sdk.probe import Canary as BaseCanary

from .service import Ledger, ServiceName


class Available(Availability):
    """Check that the ledger accepts lines."""

    service: ServiceName

    def check(self, ctx: Context) -> str | None:
        """Send one request."""
        try:
            answer = ctx.service(self.service, Ledger).ask("/health", timeout=float(self.timeout))
        except OSError as error:
            return str(error)
        return None if answer.status == 200 else f"status {answer.status}"


class Canary(BaseCanary):
    """Numbered lines, written as a client."""

    service: ServiceName

    def prepare(self, ctx: Context) -> None:
        """Check that the ledger accepts lines. Raises NotReady."""
        try:
            status = ctx.service(self.service, Ledger).ask("/health").status
        except OSError as error:
            raise NotReady(f"{self.service} does not answer: {error}") from None
        if status != 200:
            raise NotReady(f"{self.service} takes no lines: status {status}")

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer; each line is a separate request."""
        return _Writer(ctx.service(self.service, Ledger), ctx.run_id, float(self.timeout))

    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the numbers of this run."""
        begin = f"canary {ctx.run_id} "
        found = ctx.service(self.service, Ledger).lines()
        return sorted(int(text.removeprefix(begin)) for _, text in found if text.startswith(begin))

    def clean(self, ctx: Context) -> None:
        """Remove the lines of this run. Raises CouldNotVerify."""
        try:
            status = ctx.service(self.service, Ledger).ask(f"/lines/canary%20{ctx.run_id}", method="DELETE").status
        except OSError as error:
            raise CouldNotVerify(f"the lines of this run could not be removed: {error}") from None
        if status != 200:
            raise CouldNotVerify(f"the lines of this run could not be removed: status {status}")


class _Writer(CanaryWriter):
    def __init__(self, ledger: Ledger, run: str, timeout: float) -> None:
        self.ledger, self.run, self.timeout = ledger, run, timeout

    def write(self, number: int) -> Lost | None:
        try:
            answer = self.ledger.ask("/lines", self.timeout, "POST", f"canary {self.run} {number}".encode())
        except OSError as error:
            return Lost(str(error), doubt=True)
        return None if answer.status == 201 else Lost(f"status {answer.status}", doubt=False)
