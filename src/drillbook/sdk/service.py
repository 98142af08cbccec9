"""Services: the base of all kinds, and two kinds of which several systems speak: `s3`, where backups are, and `http`.

Other kinds live in their systems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import PlanError
from drillbook.values import SECRET_MARK, Secret

Port = Annotated[int, Field(ge=1, le=65535)]
Password = Secret | None
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Service(BaseModel):
    """Base of all kinds. ``name`` is the key in the inventory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="Set from the key in the inventory.")
    host: str = Field(description="Inventory name of the host that it runs on.")
    unit: str = Field(default="", description="Its unit in the host's service manager.")
    standby: bool = Field(default=False, description="True: it is off unless a drill wants it, so that off is no fault.")
    missing: str = Field(
        default="",
        description=(
            "What has to be installed for it, where it is not there: drills that need it are not run, and no diagnosis looks at "
            "it; empty: it is there."
        ),
    )
    not_drilled: str = Field(
        default="",
        description=(
            "Reason why no drill of its own is expected, as for a spare or for monitoring: an audit shows it, and counts no "
            "gap; empty: one is."
        ),
    )
    run_as: str = Field(default="", description="User that its own tools must run as, by `sudo -n -u`; empty: the SSH user.")

    @property
    def lock_name(self) -> str:
        """Kind and place on its host in one word: by its unit, else by its URL or its name."""
        if self.unit:
            return word("unit", self.unit)
        url = str(getattr(self, "url", ""))
        if url:
            return word(kind_of(self), origin(url), urlsplit(url).path.strip("/"))
        return word(kind_of(self), self.name)

    @property
    def part(self) -> str:
        """Part of the server that it is, such as one database; empty: all of it."""
        return ""

    @property
    def data(self) -> str:
        """Folder on the host of its data, where the inventory says so."""
        return ""

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of the services that it cannot work without."""
        return ()

    @property
    def greeting(self) -> bytes:
        """Bytes that its server answers to anybody, before any password; empty: none are known."""
        return b""

    @property
    def listens(self) -> tuple[str, int] | None:
        """Address and port of its own protocol; None: it has none, or a URL."""
        return None

    @property
    def leads_to(self) -> str:
        """Name of the service that it is only the way to; empty: none."""
        return ""


class S3(Service):
    """One bucket of an S3 store."""

    kind: Literal["s3"] = "s3"
    endpoint: str = Field(description="URL of the store, as controller and hosts reach it.")
    bucket: str = Field(description="Name of the bucket.")
    region: str = Field(default="us-east-1", description="Region name for the signature.")
    access_key: Secret = Field(description="Access key.")
    secret_key: Secret = Field(description="Secret key.")

    @property
    def lock_name(self) -> str:
        """Bucket and store."""
        return bucket_name(self.endpoint, self.bucket)

    @property
    def greeting(self) -> bytes:
        """A request for the head of its root."""
        return b"HEAD / HTTP/1.0\r\n\r\n"


class Http(Service):
    """Something that answers HTTP."""

    kind: Literal["http"] = "http"
    url: str = Field(description="Root URL, as the controller reaches it, without a slash at the end.")
    access_log: str = Field(
        default="",
        pattern=r"^(/[^\x00\n]*)?$",
        description=("Path on the host of its access log; empty: the log of its unit."),
    )
    port: Port | None = Field(default=None, description="TCP port on which it listens on its host.")
    env_file: str = Field(
        default="",
        pattern=r"^(/.*)?$",
        description=("Path on its host of the env file that it reads at its start: lines `NAME=VALUE`."),
    )
    env_template: str = Field(
        default="",
        pattern=r"^(/.*)?$",
        description=("Path on its host of the file beside it that names what must be set: lines `NAME=`."),
    )
    needs: tuple[str, ...] = Field(default=(), description="Names of the services that it depends on.")

    @property
    def needed(self) -> tuple[str, ...]:
        """The services that the inventory says it needs."""
        return self.needs

    @property
    def lock_name(self) -> str:
        """Its unit, else its port, else its URL."""
        return f"port-{self.port}" if self.port and not self.unit else super().lock_name

    @property
    def greeting(self) -> bytes:
        """A request for the head of its root."""
        return b"HEAD / HTTP/1.0\r\n\r\n"


def kind_of(service: Service) -> str:
    """The kind of ``service``, as the inventory writes it."""
    return str(getattr(service, "kind", ""))


def bucket_name(endpoint: str, bucket: str) -> str:
    """Name of a bucket and the store that it is in."""
    return word("s3", bucket, "at", origin(endpoint))


def origin(url: str) -> str:
    """Host and port of ``url``; the port of its scheme where it names none."""
    parts, port = urlsplit(url), None
    with suppress(ValueError):
        port = parts.port
    host = (parts.hostname or "").lower()
    return f"{'localhost' if host in LOOPBACK else host}-{port or {'http': 80, 'https': 443}.get(parts.scheme, 0)}"


def word(*parts: str) -> str:
    """``parts`` joined to one word that can be the name of a folder."""
    return "-".join(re.sub(r"[/\s]+", "-", part).strip("-") for part in parts if part)


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
