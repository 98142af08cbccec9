"""Fields that the file actions share, and paths that no drill touches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.store import Uri

AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00]*$", description="Absolute path on the host.")]
HostPath = Annotated[
    str, Field(pattern=r"^(/|~/)[^\x00\n]+$", description="Path on the host: absolute, or `~/...` in the home.")
]
ServiceName = Annotated[str, Field(description="The service that the files belong to; they lie on its host.")]
Location = Annotated[Uri, Field(alias="from", description="The `location` that `files.archive` gave.")]


def refuse_dangerous(path: str) -> None:
    """Raise StepFailed for a path at the top of a file system, or with `..` in it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) < 2:
        raise StepFailed(f"{path} is refused: a drill removes nothing at the top of a file system, and no path with `..`")


def need_harmless(path: str) -> None:
    """Raise NotReady where ``refuse_dangerous`` refuses: before anything runs."""
    try:
        refuse_dangerous(path)
    except StepFailed as error:
        raise NotReady(error.message, hint="name something deeper") from None
