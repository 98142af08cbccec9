"""The service kind `relay`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Port, Service


class Relay(Service):
    """A TCP relay or proxy on the path to another service; one that takes orders can break that path without root."""

    kind: Literal["relay"] = "relay"
    address: str = Field(default="127.0.0.1", description="Address as `reach` sees it.")
    port: Port = Field(description="Port on which it listens.")
    reach: Literal["direct", "ssh"] = Field(default="direct", description="`ssh`: through the host's SSH connection.")
    to: str = Field(description="Name of the service behind it, of kind postgres, redis, http or s3.")
    control: str = Field(
        default="",
        description=(
            "Path on the host of the file that says how it behaves, and no file: the path is open; empty: it takes no orders."
        ),
    )

    @property
    def lock_name(self) -> str:
        """Kind and port."""
        return f"{self.kind}-{self.port}"

    @property
    def leads_to(self) -> str:
        """The service behind it."""
        return self.to

    @property
    def listens(self) -> tuple[str, int]:
        """Its address and port."""
        return self.address, self.port
