"""Asks a server at its Unix socket, on its own host, for an answer."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify
from drillbook.sdk import unix_socket
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output, printable
from drillbook.sdk.service import Service

PATIENCE_S = 4.0
"""Seconds after which an end without an answer is silence; the program that connects gives a server 5 s for its answer."""


def ask(ctx: Context, service: Service) -> tuple[str, float]:
    """Connect to the socket of ``service``, and send its greeting; return the outcome and the duration in seconds.

    The outcome is answered, silence, closed, refused, or the system's error. A socket that the SSH user may not open is asked
    as the user `run_as` of the service. Raises CouldNotVerify when the host has no program that can connect.
    """
    how, seconds = _once(ctx, service, "")
    if how == "Permission denied" and service.run_as:
        how, seconds = _once(ctx, service, service.run_as)
    return how, seconds


def _once(ctx: Context, service: Service, user: str) -> tuple[str, float]:
    output = ctx.run(*unix_socket.relay(service.socket, user), stdin=service.greeting)
    if output.exit == 127:
        raise CouldNotVerify(
            f"{ctx.host.name}: no program on this host can connect to {service.socket}", hint="install perl or python3"
        )
    return _outcome(output, bool(service.greeting)), round(output.seconds, 3)


def _outcome(output: Output, asked: bool) -> str:
    if output.stdout or (output.ok and not asked):
        return "answered"
    if output.ok:
        return "closed" if output.seconds < PATIENCE_S else "silence"
    said = printable(output.stderr, limit=200).strip().rpartition(": ")[2]
    if "efused" in said:
        return "refused"
    return said or "silence"
