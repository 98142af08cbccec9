"""The service kind `redis`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from drillbook.sdk.sandbox import Sandboxed
from drillbook.sdk.service import Password, Port


class Redis(Sandboxed):
    """A Redis or Valkey server."""

    kind: Literal["redis"] = "redis"
    address: str = Field(
        default="127.0.0.1",
        description=(
            "Address of the server, or the path of its Unix socket. With `reach: direct` the controller connects to this address, "
            "and with `reach: ssh` the host does."
        ),
    )
    port: Port = Field(default=6379, description="Port of the server.")
    reach: Literal["direct", "ssh"] = Field(
        default="direct",
        description="`direct`: connect from the controller; `ssh`: connect through the host's SSH connection.",
    )
    user: str = Field(
        default="", description="Name of the user who logs in (command AUTH). Empty: the server's default user."
    )
    password: Password = Field(default=None, description="Password of the user who logs in.")
    data_directory: str = Field(
        default="",
        description="Data folder on the host (the server's setting `dir`). Empty: the folder that the server reports.",
    )
    program: str = Field(
        default="",
        description=(
            "Path of the server's program on the host. Empty: the path that the server reports; for a sandbox, the program "
            "valkey-server or redis-server on PATH."
        ),
    )

    @classmethod
    def fields_in_sandbox(cls, folder: str) -> Mapping[str, Any]:
        """Return fields of a server in a sandbox. ``folder``: folder of the sandbox. The fields are ``address`` (path of the
        server's Unix socket) and ``data_directory``.
        """
        return {"address": f"{folder}/redis.sock", "data_directory": f"{folder}/data"}

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the server. The name consists of the service kind and the port. A sandbox
        has no port, so the lock is named after the folder of the sandbox.
        """
        return super().lock_name if self.sandbox else f"{self.kind}-{self.port}"

    @property
    def socket(self) -> str:
        """Path of the server's Unix socket. It is empty when `address` is not a path."""
        return self.address if self.address.startswith("/") else ""

    @property
    def data(self) -> str:
        """Folder of the server's files on its host. The value is empty when the inventory does not contain this folder."""
        return self.data_directory.rstrip("/")

    @property
    def greeting(self) -> bytes:
        """PING command, which the server answers without a login."""
        return b"PING\r\n"

    @property
    def listens(self) -> tuple[str, int] | None:
        """Address and port of the server. It is None for a server that is reached by its Unix socket."""
        return None if self.socket else (self.address, self.port)
