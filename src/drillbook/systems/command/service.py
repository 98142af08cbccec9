"""The service kind `command`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drillbook.sdk.service import Service


class Command(Service):
    """A service of any kind, whose health is the exit status of a command on its host."""

    KEEPS_DATA = False
    kind: Literal["command"] = "command"
    check: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description=(
            "Program and arguments of a command that runs on the host. It must only read, and ends with "
            "status 0 while the service works."
        )
    )
