"""The service kind `command`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drillbook.sdk.service import Service


class Command(Service):
    """A service of any kind. A command on its host checks its health, and the exit status of the command is the result."""

    KEEPS_DATA = False
    kind: Literal["command"] = "command"
    check: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description=(
            "Program and arguments of a command that runs on the host. The command must change nothing. It "
            "must exit with status 0 if the service works, and with another status if not."
        )
    )
