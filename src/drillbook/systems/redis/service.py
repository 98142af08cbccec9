"""The service kind `redis`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Password, Port, Service


class Redis(Service):
    """A Redis or Valkey server."""

    kind: Literal["redis"] = "redis"
    address: str = Field(default="127.0.0.1", description="Address as `reach` sees it.")
    port: Port = Field(default=6379, description="Port of the server.")
    reach: Literal["direct", "ssh"] = Field(default="direct", description="`ssh`: through the host's SSH connection.")
    user: str = Field(default="", description="Name for AUTH; empty: the default user.")
    password: Password = Field(default=None, description="Its password.")
    data_directory: str = Field(default="", description="Its `dir` on the host; empty: as the server says.")
    program: str = Field(default="", description="Path of its program on the host; empty: as the server says.")

    @property
    def lock_name(self) -> str:
        """Kind and port."""
        return f"{self.kind}-{self.port}"

    @property
    def data(self) -> str:
        """The folder of its files, where the inventory names it."""
        return self.data_directory.rstrip("/")

    @property
    def greeting(self) -> bytes:
        """PING."""
        return b"PING\r\n"

    @property
    def listens(self) -> tuple[str, int]:
        """Its address and port."""
        return self.address, self.port
