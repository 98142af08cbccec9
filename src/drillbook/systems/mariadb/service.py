"""The service kind `mariadb`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from drillbook.sdk.sandbox import Sandboxed
from drillbook.sdk.service import Password, Port, word

SOCKET = "mariadb.sock"
"""Name of the Unix socket in a sandbox's folder."""
SANDBOX_USER = "drillbook"
"""Account that Drillbook adds to a restored copy. This account can log in only through the socket in the sandbox's private
folder.
"""

SettingName = Annotated[
    str,
    Field(
        pattern=r"^(character[-_]set[-_]server|collation[-_]server|default[-_]time[-_]zone|sql[-_]mode|innodb[-_]\w[\w-]*|"
        r"lower[-_]case[-_]table[-_]names|max[-_]\w[\w-]*|key[-_]buffer[-_]size|sort[-_]buffer[-_]size)$"
    ),
]


class Mariadb(Sandboxed):
    """A MariaDB server, or one database of it."""

    kind: Literal["mariadb"] = "mariadb"
    address: str = Field(
        default="127.0.0.1", description="Address of the server as seen from its own host, or the path of its Unix socket."
    )
    port: Port = Field(default=3306, description="Port of the server.")
    database: str = Field(
        default="", description="Name of the database. Empty: the service consists of all databases of the server."
    )
    user: str = Field(
        default="",
        description="Name of the account to log in with, without `@` and its host part. For a sandbox, Drillbook sets the account.",
    )
    password: Password = Field(
        default=None,
        description="Password of the account. Not set: the account needs no password, for example because it "
        "logs in by `unix_socket` authentication as the user `run_as`.",
    )
    data_directory: str = Field(
        default="", description="Data directory of the server on the host. For a sandbox Drillbook sets this field."
    )
    bin: str = Field(
        default="",
        description="Folder of the programs mariadbd, mariadb and mariadb-backup on the host. Empty: PATH is "
        "searched for the programs.",
    )
    settings: Mapping[SettingName, str] = Field(
        default_factory=dict,
        description="Settings of the production server, such as `lower_case_table_names`, if a server in a sandbox needs them too.",
    )

    @classmethod
    def fields_in_sandbox(cls, folder: str) -> Mapping[str, Any]:
        """Return the fields that Drillbook sets in a sandbox: socket, account and data directory."""
        return {"address": f"{folder}/{SOCKET}", "user": SANDBOX_USER, "password": None, "data_directory": f"{folder}/data"}

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the server. The name consists of the service kind, and of the port or the
        socket. The lock of a sandbox is named after the sandbox.
        """
        if self.sandbox:
            return super().lock_name
        return word(self.kind, self.socket or str(self.port))

    @property
    def socket(self) -> str:
        """Path of the server's Unix socket. It is empty when `address` is not a path."""
        return self.address if self.address.startswith("/") else ""

    @property
    def part(self) -> str:
        """Name of the database that belongs to the service. Empty: all databases of the server belong to the service."""
        return self.database

    @property
    def data(self) -> str:
        """Path of the server's data directory."""
        return self.data_directory.rstrip("/")

    @property
    def listens(self) -> tuple[str, int] | None:
        """Address and port of the server. It is None for a server that is reached by its Unix socket."""
        return None if self.socket else (self.address, self.port)
