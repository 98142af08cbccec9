"""Action `tcp.open`: check a TCP port."""

from __future__ import annotations

import socket
import time
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.linux.service import TcpAddress

CONNECT_S = 5.0


Address = Annotated[
    TcpAddress, Field(min_length=1, description="Name or address of the server, as seen from the controller.")
]


class Open(Read):
    """Check from the controller whether a TCP port accepts connections."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 15.0

    address: Address
    port: Annotated[int, Field(ge=1, le=65535, description="TCP port to check.")]
    state: Annotated[
        Literal["open", "closed"], Field(description="Expected state. A port that does not answer counts as closed.")
    ] = "open"

    def run(self, ctx: Context) -> Facts:
        """Facts: ``state`` (`open` or `closed`), ``seconds``, ``why`` (the reason when closed)."""
        start = time.monotonic()
        port_state, why = "open", ""
        try:
            patience = max(0.1, min(CONNECT_S, ctx.deadline.remaining()))
            socket.create_connection((self.address, self.port), timeout=patience).close()
        except socket.gaierror as error:
            raise CouldNotVerify(
                f"the name {self.address} cannot be resolved: {error.strerror}",
                hint="check `address`, and the name resolution of the controller",
            ) from None
        except OSError as error:
            port_state, why = "closed", error.strerror or str(error)
        facts: Facts = {"state": port_state, "seconds": round(time.monotonic() - start, 6), "why": why}
        if port_state != self.state:
            where = f"{self.address}:{self.port}"
            raise StepFailed(
                f"{where} is {port_state}{f': {why}' if why else ''}",
                facts=facts,
                findings=[
                    finding(
                        "port-state", title=where, wanted=self.state, measured=f"{port_state}{f': {why}' if why else ''}"
                    )
                ],
            )
        return facts
