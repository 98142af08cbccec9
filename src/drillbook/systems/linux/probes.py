"""Probe `tcp.open`: connect to a TCP port."""

from __future__ import annotations

import socket
from typing import Annotated

from pydantic import Field

from drillbook.sdk.action import Context
from drillbook.sdk.probe import Availability
from drillbook.systems.linux.actions.tcp import Address


class Open(Availability):
    """Connect to a port. A hanging server may still accept connections, so a probe that requests real work is better."""

    ANY_SERVICE = True

    address: Address
    port: Annotated[int, Field(ge=1, le=65535, description="TCP port to check.")]

    def check(self, ctx: Context) -> str | None:
        """Open one connection and close it at once."""
        try:
            socket.create_connection((self.address, self.port), timeout=float(self.timeout)).close()
        except TimeoutError:
            return f"no connection within {self.timeout}"
        except OSError as error:
            return error.strerror or str(error)
        return None
