"""The service kind `command`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drillbook.sdk.service import Service


class Command(Service):
    """A service of any kind; the exit status of a command on its host tells if it is healthy."""

    kind: Literal["command"] = "command"
    check: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Program and its arguments, run on the host; it only reads, and ends with 0 while the service works."
    )
