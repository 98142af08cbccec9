"""Checks that a server answers at its Unix socket. The check runs on the host of the server."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify
from drillbook.sdk import unix_socket
from drillbook.sdk.action import Context
from drillbook.sdk.host import Output, printable
from drillbook.sdk.service import Service

PATIENCE_S = 4.0
"""Duration, in seconds, that distinguishes two outcomes of a connection without an answer. The program that connects ends the
connection after 5 s without an answer. If the connection ended earlier than ``PATIENCE_S``, the server ended it, and the
outcome is `closed`. Otherwise the outcome is `silence`.
"""


def ask(ctx: Context, service: Service) -> tuple[str, float]:
    """Connect to the socket of ``service``, and send a greeting that the server answers. Return the outcome and the
    duration in seconds.

    The outcome is one of the words ``answered``, ``silence``, ``closed`` and ``refused``, or the system's error message. If
    the SSH user may not open the socket, the user `run_as` of the service connects. Raises CouldNotVerify when the host has
    no program that can connect.
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
