"""The service kind `postgres`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.sdk.service import Password, Port, Service


class Admin(BaseModel):
    """The superuser that backups and restores connect as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(description="Name of the superuser.")
    password: Password = Field(default=None, description="Its password.")


class Postgres(Service):
    """A PostgreSQL database in its own cluster."""

    kind: Literal["postgres"] = "postgres"
    address: str = Field(default="127.0.0.1", description="Address as `reach` sees it.")
    port: Port = Field(default=5432, description="Port of the server.")
    reach: Literal["direct", "ssh"] = Field(default="direct", description="`ssh`: through the host's SSH connection.")
    database: str = Field(description="Name of the database.")
    user: str = Field(description="The role that the application connects as.")
    password: Password = Field(default=None, description="Its password.")
    admin: Admin = Field(description="The superuser for backup and restore.")
    data_directory: str = Field(description="PGDATA on the host.")
    bin: str = Field(default="", description="Folder of pg_dump, pg_restore, initdb on the host; empty: on PATH.")

    @property
    def lock_name(self) -> str:
        """Kind and port."""
        return f"{self.kind}-{self.port}"

    @property
    def part(self) -> str:
        """The database."""
        return self.database

    @property
    def data(self) -> str:
        """PGDATA."""
        return self.data_directory.rstrip("/")

    @property
    def greeting(self) -> bytes:
        """SSLRequest of its message flow: answered with one letter."""
        return b"\x00\x00\x00\x08\x04\xd2\x16\x2f"

    @property
    def listens(self) -> tuple[str, int]:
        """Its address and port."""
        return self.address, self.port
