"""Base of all kinds of services, and two kinds that several systems use: `s3` (stores of backups) and `http`.

Every other kind is defined in its system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from drillbook.errors import PlanError
from drillbook.language.explaining import FROM_KEY
from drillbook.sdk.become import Become
from drillbook.sdk.encryption import AgeIdentity, Encryption
from drillbook.sdk.health import Health
from drillbook.sdk.retention import Keep
from drillbook.sdk.written_at import Located
from drillbook.values import SECRET_MARK, Secret

if TYPE_CHECKING:
    pass

Port = Annotated[int, Field(ge=1, le=65535)]
Password = Secret | None
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class KeptIn(NamedTuple):
    """Path of a folder or file with data or backups, and the host in the inventory that has it."""

    host: str
    path: str


class Service(Located):
    """Base of all kinds of services. ``name`` is the key in the inventory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    RUNS: ClassVar[bool] = True
    """False for kinds whose services have no processes of their own, such as a folder.

    A diagnosis then expects no process.
    """

    KEEPS_DATA: ClassVar[bool] = True
    """False for kinds whose services keep no data of their own, such as `http`. An audit then expects no RPO."""

    SECTION: ClassVar[str] = "services"
    """Key of the inventory under which services of this kind are described."""

    ADDED: ClassVar[frozenset[str]] = frozenset()
    """Fields that were added after the first version.

    The serialised service omits such a field while its value is None. So the digests of older plans do not change.
    """

    name: Annotated[str, FROM_KEY] = Field(
        default="", description="Name of the service. It is set from the key in the inventory."
    )
    host: str = Field(description="Name of the host on which the service runs, as in the inventory.")
    unit: str = Field(default="", description="Name of the service's unit in the host's service manager.")
    standby: bool = Field(
        default=False,
        description=("True: the service is normally stopped. A stopped service then does not count as a fault."),
    )
    missing: str = Field(
        default="",
        description=(
            "Text that names the software to install, for a service that does not exist on this machine. "
            "Drills that need the service are then not run, and no diagnosis checks it. Empty: the service "
            "exists."
        ),
    )
    not_drilled: str = Field(
        default="",
        description=(
            "Reason why the service needs no drill of its own, for example because it is a spare or serves for "
            "monitoring. An audit shows the reason and reports no gap. Empty: the service needs a drill."
        ),
    )
    run_as: str = Field(
        default="",
        description=(
            "User that runs the service's own tools. Drillbook starts the tools as this user by `sudo -n -u`, or by setpriv "
            "as root on a host without sudo. Empty: the SSH user."
        ),
    )
    become: Become | None = Field(
        default=None,
        description=(
            "Account that runs the commands of the service's steps on its host and accesses files there, by "
            "sudo. Default: the account of the host."
        ),
    )

    @model_serializer(mode="wrap")
    def _without_unused(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Serialise the service. `become`, and each field in ``ADDED``, is left out while its value is None."""
        added = self.ADDED | {"become"}
        return {key: value for key, value in written(self).items() if value is not None or key not in added}

    @property
    def lock_name(self) -> str:
        """Name of the lock with which a run reserves the service. It can be used as the name of a folder.

        The name contains the unit of the service. For a service without a unit, it contains the URL. For a service that has
        neither, it contains the name of the service.
        """
        if self.unit:
            return word("unit", self.unit)
        url = str(getattr(self, "url", ""))
        if url:
            return word(kind_of(self), origin(url), urlsplit(url).path.strip("/"))
        return word(kind_of(self), self.name)

    @property
    def part(self) -> str:
        """Name of a part of a server, such as one database, when only this part is the service. It is empty when the whole
        server is the service.
        """
        return ""

    @property
    def data(self) -> str:
        """Folder on the host with the data of the service. The path is empty when the inventory does not name it."""
        return ""

    @property
    def kept_in(self) -> tuple[KeptIn, ...]:
        """Folders that contain the service's data or backups.

        No sandbox is created inside these folders. A fault does not destroy a folder that also contains the backups
        needed to restore the folder.
        """
        return (KeptIn(self.host, self.data),) if self.RUNS and self.data else ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the services that this service depends on."""
        return ()

    @property
    def greeting(self) -> bytes:
        """Bytes that a client sends to find out whether the server answers. They are a request that needs no password, or empty
        when no such request is known."""
        return b""

    @property
    def listens(self) -> tuple[str, int] | None:
        """Address and port where the service listens.

        The value is None for a service without a port of its own. It is also None for a service that is reached by a URL or a
        Unix socket.
        """
        return None

    @property
    def own_port(self) -> int | None:
        """TCP port of the service on its host, from the inventory.

        The value is None for a service that is reached by its Unix socket, because no action can use a port of this
        service.
        """
        return None if self.socket else getattr(self, "port", None)

    @property
    def socket(self) -> str:
        """Path of the service's Unix socket on its host. It is empty for a service with a port."""
        return ""

    @property
    def leads_to(self) -> str:
        """Name of the service to which this service only forwards requests. The name is empty when the service
        forwards no requests.
        """
        return ""


class S3(Service):
    """One bucket of an S3 store."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"keep", "encrypt", "identity"})

    kind: Literal["s3"] = "s3"
    endpoint: str = Field(description="URL of the store. The controller and the hosts must reach the store by this URL.")
    bucket: str = Field(description="Name of the bucket.")
    region: str = Field(default="us-east-1", description="Name of the region, used in signatures.")
    access_key: Secret = Field(description="Access key.")
    secret_key: Secret = Field(description="Secret key.")
    keep: Keep | None = Field(
        default=None,
        description=(
            "Rule for the backups that drills take, such as `{last: 5, days: 30}`. After a passed drill with a "
            "backup in this bucket, the expired backups of finished runs of this project are removed. Empty: all "
            "backups are kept."
        ),
    )

    encrypt: Encryption | None = Field(
        default=None,
        description=(
            "Recipients who can decrypt the backups that drills take, such as `{age: [age1...]}`. "
            "Empty: the files of these backups are not encrypted."
        ),
    )
    identity: AgeIdentity | None = Field(
        default=None,
        description=(
            "Secret key of age that decrypts the encrypted backups. It is the content of a file made by age-keygen, "
            "given by `!file` or `!env`."
        ),
    )

    @property
    def lock_name(self) -> str:
        """Name of the lock with which a run reserves the bucket. It is made of the names of the store and the bucket."""
        return bucket_name(self.endpoint, self.bucket)

    @property
    def greeting(self) -> bytes:
        """HEAD request for the root of the store. The store answers it without a password."""
        return b"HEAD / HTTP/1.0\r\n\r\n"


class Http(Service):
    """A service with an HTTP interface."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"health"})

    KEEPS_DATA = False
    kind: Literal["http"] = "http"
    url: str = Field(description="Root URL by which the controller reaches the service, without a slash at the end.")
    access_log: str = Field(
        default="",
        pattern=r"^(/[^\x00\n]*)?$",
        description=(
            "Path of the service's access log on its host. Empty: requests are read from the log of the service's unit."
        ),
    )
    port: Port | None = Field(default=None, description="TCP port on which the service listens on its host.")
    env_file: str = Field(
        default="",
        pattern=r"^(/.*)?$",
        description=(
            "Path, on the host, of the env file that the service reads when it starts. The file consists of "
            "lines `NAME=VALUE`."
        ),
    )
    env_template: str = Field(
        default="",
        pattern=r"^(/.*)?$",
        description=("Path, on the host, of the template of the env file. Its lines `NAME=` name the variables to set."),
    )
    needs: tuple[str, ...] = Field(default=(), description="Names of the services that this service depends on.")
    health: Health | None = Field(
        default=None,
        description=(
            "Request for the health of the service, and the answer of a healthy service. If it is a text, "
            "the text is the path of the request."
        ),
    )

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the services that the inventory lists in the field `needs`."""
        return self.needs

    @property
    def lock_name(self) -> str:
        """Name of the lock with which a run reserves the service on its host.

        The name contains the unit of the service. For a service without a unit, it contains the port. For a service that
        has neither, it contains the URL.
        """
        return f"port-{self.port}" if self.port and not self.unit else super().lock_name

    @property
    def greeting(self) -> bytes:
        """HEAD request for the root of the service. It serves to measure whether the service answers."""
        return b"HEAD / HTTP/1.0\r\n\r\n"


def is_sandbox(service: Service | None) -> bool:
    """Return True when a service of the inventory is a sandbox."""
    return getattr(service, "sandbox", None) is not None


def only_in_rehearsals(service: Service) -> bool:
    """Return True when a service exists only during a rehearsal: a sandbox, or a service with ``temporary: true``."""
    return is_sandbox(service) or bool(getattr(service, "temporary", False))


def kind_of(service: Service) -> str:
    """Return the kind of ``service``, as written in the inventory."""
    return str(getattr(service, "kind", ""))


def bucket_name(endpoint: str, bucket: str) -> str:
    """Return the name of the lock with which a run reserves a bucket."""
    return word("s3", bucket, "at", origin(endpoint))


def origin(url: str) -> str:
    """Return the host and the port of ``url``. When ``url`` contains no port, the port is the default of its scheme."""
    parts, port = urlsplit(url), None
    with suppress(ValueError):
        port = parts.port
    host = (parts.hostname or "").lower()
    return f"{'localhost' if host in LOOPBACK else host}-{port or {'http': 80, 'https': 443}.get(parts.scheme, 0)}"


def word(*parts: str) -> str:
    """Join ``parts`` with hyphens. The result contains neither slashes nor spaces, so that it can be the name of a folder."""
    return "-".join(re.sub(r"[/\s]+", "-", part).strip("-") for part in parts if part)


def handed(value: str, services: Mapping[str, Service]) -> str | Secret:
    """Return the secret to which ``value`` refers. If ``value`` is not a reference to a secret, return ``value``.

    ``value``: value of a parameter of type ``Handed``. ``services``: services whose fields contain the secrets.
    Raises PlanError when the secret does not exist.
    """
    if not value.startswith(SECRET_MARK):
        return value
    place = value.removeprefix(SECRET_MARK)
    name, _, key = place.removeprefix("services.").rpartition(".")
    secret = dict(services[name]).get(key) if name in services else None
    if not isinstance(secret, Secret):
        raise PlanError(f"the inventory has no secret {place}")
    return secret
