"""The service kind `container`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Service, word


class Container(Service):
    """A container of a Docker engine. Its field `unit` is used only if the host's service manager is `docker`."""

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
        """Name of the lock by which a run reserves the container. It is made of the kind and the container's name."""
        return word("container", self.container)
