"""The service kind `postgres`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from drillbook.sdk.sandbox import Sandboxed
from drillbook.sdk.service import KeptIn, Password, Port

NOWHERE = "/dev/null/managed"
"""Path that stands for the data directory of a managed database. No directory can ever exist there."""


class Admin(BaseModel):
    """Login of the superuser. Drillbook takes and restores backups as this user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ADDED: ClassVar[frozenset[str]] = frozenset({"socket"})
    """Fields that were added after the first version.

    A serialised ``Admin`` omits such a field while it is empty. So the digests of older plans do not change.
    """

    user: str = Field(description="Name of the superuser.")
    password: Password = Field(default=None, description="Password of the superuser.")
    socket: str = Field(
        default="",
        pattern=r"^(/[^\x00\n]*)?$",
        description=(
            "Folder of the server's Unix socket, such as `/var/run/postgresql`. The superuser then logs in through this socket "
            "by peer authentication, as the operating system user `run_as`, and needs no password."
        ),
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.socket and self.password is not None:
            raise ValueError("a superuser with a `socket` logs in by peer authentication, so remove its `password`")
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Serialise the login without the fields in ``ADDED`` that are empty."""
        return {key: value for key, value in written(self).items() if value or key not in self.ADDED}


class Postgres(Sandboxed):
    """A PostgreSQL database in its own cluster."""

    CONTAINED: ClassVar[bool] = True

    kind: Literal["postgres"] = "postgres"
    address: str = Field(
        default="127.0.0.1",
        description=(
            "Address of the server, or the folder of its Unix socket. With `reach: direct` the controller connects to this "
            "address, and with `reach: ssh` the host does."
        ),
    )
    port: Port = Field(default=5432, description="Port of the server.")
    reach: Literal["direct", "ssh"] = Field(
        default="direct", description="If `ssh`, connect through the SSH connection to the host."
    )
    database: str = Field(description="Name of the database.")
    user: str = Field(description="Role of the application.")
    password: Password = Field(default=None, description="Password of that role.")
    admin: Admin = Field(
        description=(
            "Login of the superuser, with whose rights Drillbook takes and restores backups. The fields are `user`, and `password` "
            "or `socket`. With `socket`, the superuser logs in by peer authentication as the user `run_as`. For a database that "
            "drills only read, such as `against` of `postgres.compare`, another role that may read all data is enough."
        )
    )
    data_directory: str = Field(description="Data directory (PGDATA) on the host.")
    managed: bool = Field(
        default=False,
        description=(
            "If true, the database belongs to a provider, who gives no access to a superuser or to the host. `admin` is then the "
            "master user, `host` is a host with pg_dump, and there is no `data_directory`. Set it also for a database that "
            "drills only read with another role than a superuser."
        ),
    )
    bin: str = Field(
        default="",
        description="Folder on the host with PostgreSQL's programs, such as pg_dump. By default, the programs are found on PATH.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_host(cls, data: Any) -> Any:
        """Set ``data_directory`` of a managed database to ``NOWHERE``, a path at which no directory can exist. The data
        directory of such a database is not accessible.
        """
        if not isinstance(data, dict) or data.get("managed") is not True:
            return data
        if data.get("data_directory", NOWHERE) != NOWHERE or data.get("sandbox") is not None:
            raise ValueError("a `managed` database has neither a `data_directory` nor a `sandbox`")
        return {**data, "data_directory": NOWHERE}

    @model_validator(mode="after")
    def _own_socket(self) -> Self:
        if self.admin.socket and (self.managed or self.sandbox is not None):
            raise ValueError(
                "`socket` of `admin` is for a server on its own host, not for a `managed` database or a `sandbox`"
            )
        return self

    @property
    def kept_in(self) -> tuple[KeptIn, ...]:
        """Place of the data directory. The result is empty for a managed database."""
        return () if self.managed else super().kept_in

    @classmethod
    def fields_in_sandbox(cls, folder: str) -> Mapping[str, Any]:
        """Return the fields `address` and `data_directory` of a service in a sandbox.

        The address is ``folder``, because it contains the server's socket.
        """
        return {"address": folder, "data_directory": f"{folder}/data"}

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the server. The name consists of the service kind and the port. A
        sandbox has no port, so the lock is named after the folder of the sandbox.
        """
        return super().lock_name if self.sandbox else f"{self.kind}-{self.port}"

    @property
    def socket(self) -> str:
        """Path of the server's Unix socket if `address` is a folder, otherwise an empty text."""
        return f"{self.address}/.s.PGSQL.{self.port}" if self.address.startswith("/") else ""

    @property
    def part(self) -> str:
        """Name of the database, which is the part of the server that belongs to the service."""
        return self.database

    @property
    def data(self) -> str:
        """Path of the data directory (PGDATA)."""
        return self.data_directory.rstrip("/")

    @property
    def greeting(self) -> bytes:
        """Message SSLRequest of PostgreSQL's protocol. A server answers it with one letter."""
        return b"\x00\x00\x00\x08\x04\xd2\x16\x2f"

    @property
    def listens(self) -> tuple[str, int] | None:
        """Address and port of the server, or None for a server that is reached by its Unix socket."""
        return None if self.socket else (self.address, self.port)
