"""Services: what a drill protects, as the inventory describes it. One model a kind; actions ask for the kind they need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import PlanError
from drillbook.values import SECRET_MARK, Secret

Port = Annotated[int, Field(ge=1, le=65535)]
Password = Secret | None


class Service(BaseModel):
    """What all kinds share. ``name`` is the key in the inventory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="Set from the key in the inventory.")
    host: str = Field(description="Inventory name of the host that it runs on.")
    unit: str = Field(default="", description="Its unit in the host's service manager.")
    standby: bool = Field(default=False, description="True: it is off unless a drill wants it, so that off is no fault.")
    missing: str = Field(default="", description=(
        "What has to be installed for it, where it is not there: drills that need it are not run, and no diagnosis looks at "
        "it; empty: it is there."))
    not_drilled: str = Field(default="", description=(
        "Reason why no drill of its own is expected, as for a spare or for monitoring: an audit shows it, and counts no "
        "gap; empty: one is."))
    run_as: str = Field(default="", description="User that its own tools must run as, by `sudo -n -u`; empty: the SSH user.")


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


class S3(Service):
    """One bucket of an S3 store."""

    kind: Literal["s3"] = "s3"
    endpoint: str = Field(description="URL of the store, as controller and hosts reach it.")
    bucket: str = Field(description="Name of the bucket.")
    region: str = Field(default="us-east-1", description="Region name for the signature.")
    access_key: Secret = Field(description="Access key.")
    secret_key: Secret = Field(description="Secret key.")


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


class Qdrant(Service):
    """A collection of vectors in a Qdrant server."""

    kind: Literal["qdrant"] = "qdrant"
    url: str = Field(pattern=r"^https?://[^/]", description=(
        "Root URL of its REST API with its port, as the controller reaches it, without a slash at the end."))
    collection: str = Field(min_length=1, description="Name of the collection.")
    api_key: Password = Field(default=None, description="Its API key.")


class Http(Service):
    """Something that answers HTTP."""

    kind: Literal["http"] = "http"
    url: str = Field(description="Root URL, as the controller reaches it, without a slash at the end.")
    access_log: str = Field(default="", pattern=r"^(/[^\x00\n]*)?$", description=(
        "Path on the host of its access log; empty: the log of its unit."))
    port: Port | None = Field(default=None, description="TCP port on which it listens on its host.")
    env_file: str = Field(default="", pattern=r"^(/.*)?$", description=(
        "Path on its host of the env file that it reads at its start: lines `NAME=VALUE`."))
    env_template: str = Field(default="", pattern=r"^(/.*)?$", description=(
        "Path on its host of the file beside it that names what must be set: lines `NAME=`."))
    needs: tuple[str, ...] = Field(default=(), description="Names of the services that it depends on.")


class Relay(Service):
    """A TCP relay or proxy on the path to another service; one that takes orders can break that path without root."""

    kind: Literal["relay"] = "relay"
    address: str = Field(default="127.0.0.1", description="Address as `reach` sees it.")
    port: Port = Field(description="Port on which it listens.")
    reach: Literal["direct", "ssh"] = Field(default="direct", description="`ssh`: through the host's SSH connection.")
    to: str = Field(description="Name of the service behind it, of kind postgres, redis, http or s3.")
    control: str = Field(default="", description=(
        "Path on the host of the file that says how it behaves, and no file: the path is open; empty: it takes no orders."))


class Container(Service):
    """A container of a Docker engine. Its `unit` is only for hosts whose service manager is `docker`."""

    kind: Literal["container"] = "container"
    container: str = Field(min_length=1, description="Name of the container.")
    engine: str = Field(default="", pattern=r"^$|^(unix|ssh)://", description=(
        "URL of its engine, `unix:///path` here or `ssh://user@host:port`; empty: the engine of its host."))


class Process(Service):
    """A unit of the service manager that has no protocol of its own here."""

    kind: Literal["process"] = "process"


class Prometheus(Service):
    """A Prometheus server, or what answers its HTTP API (Thanos, VictoriaMetrics, Mimir)."""

    kind: Literal["prometheus"] = "prometheus"
    url: str = Field(pattern=r"^https?://", description="Root URL, as the controller reaches it.")
    token: Password = Field(default=None, description="Bearer token, where it wants one.")


class Alertmanager(Service):
    """An Alertmanager, which groups alerts and passes them on to people."""

    kind: Literal["alertmanager"] = "alertmanager"
    url: str = Field(pattern=r"^https?://", description="Root URL, as the controller reaches it.")
    token: Password = Field(default=None, description="Bearer token, where it wants one.")


AnyService = Annotated[Postgres | S3 | Redis | Qdrant | Http | Relay | Container | Process | Prometheus | Alertmanager,
                       Field(discriminator="kind")]

KINDS: tuple[str, ...] = tuple(kind.model_fields["kind"].default for kind in get_args(get_args(AnyService)[0]))
"""All kinds of services."""


def kind_of(service: Service) -> str:
    """The kind of ``service``, as the inventory writes it."""
    return str(getattr(service, "kind", ""))


def handed(value: str, services: Mapping[str, Service]) -> str | Secret:
    """The secret of ``services`` that a parameter of the type ``Handed`` names, or the text that it is. Raises PlanError."""
    if not value.startswith(SECRET_MARK):
        return value
    place = value.removeprefix(SECRET_MARK)
    name, _, key = place.removeprefix("services.").rpartition(".")
    secret = dict(services[name]).get(key) if name in services else None
    if not isinstance(secret, Secret):
        raise PlanError(f"the inventory has no secret {place}")
    return secret
