"""TCP probes."""

from __future__ import annotations

import socket
from typing import Annotated

from pydantic import Field

from drillbook.sdk.action import Context
from drillbook.sdk.probe import Availability


class Open(Availability):
    """Does a port take connections? A server that hangs often still does: prefer a probe that asks for real work."""

    address: Annotated[str, Field(min_length=1, description="Name or address, as the controller reaches it.")]
    port: Annotated[int, Field(ge=1, le=65535, description="The port.")]

    def check(self, ctx: Context) -> str | None:
        """One connection, closed at once."""
        try:
            socket.create_connection((self.address, self.port), timeout=float(self.timeout)).close()
        except TimeoutError:
            return f"no connection within {self.timeout}"
        except OSError as error:
            return error.strerror or str(error)
        return None
