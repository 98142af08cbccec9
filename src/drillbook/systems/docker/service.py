"""The service kind `container`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Service, word


class Container(Service):
    """A container of a Docker engine. Its `unit` applies only to hosts whose service manager is `docker`."""

    KEEPS_DATA = False
    kind: Literal["container"] = "container"
    container: str = Field(min_length=1, description="Name of the container.")
    engine: str = Field(
        default="",
        pattern=r"^$|^(unix|ssh)://",
        description=(
            "URL of the Docker engine: `unix:///path` on the controller, or `ssh://user@host:port`. Empty: "
            "the engine of the service's host."
        ),
    )

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the container. It is the name of the container."""
        return word("container", self.container)
