"""The service kind `container`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Service, word


class Container(Service):
    """A container of a Docker engine. Its `unit` is only for hosts whose service manager is `docker`."""

    kind: Literal["container"] = "container"
    container: str = Field(min_length=1, description="Name of the container.")
    engine: str = Field(
        default="",
        pattern=r"^$|^(unix|ssh)://",
        description=("URL of its engine, `unix:///path` here or `ssh://user@host:port`; empty: the engine of its host."),
    )

    @property
    def lock_name(self) -> str:
        """Name of the container."""
        return word("container", self.container)
