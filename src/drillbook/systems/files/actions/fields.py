"""Field types that several file actions share, and the check that refuses paths which no drill may touch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.object_reference import Uri

AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00]*$", description="Absolute path on the host.")]
HostPath = Annotated[
    str,
    Field(
        pattern=r"^(/|~/)[^\x00\n]+$",
        description="Path on the host. It is absolute, or begins with `~/` for the home folder.",
    ),
]
ServiceName = Annotated[
    str, Field(description="Service to which the files belong. The files are on the host of this service.")
]
Location = Annotated[Uri, Field(alias="from", description="Fact `location` of the step `files.archive`.")]


def refuse_dangerous(path: str) -> None:
    """Raise StepFailed when the path is a top-level directory of a file system, or contains `..`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) < 2:
        raise StepFailed(
            f"{path} is refused: a drill does not remove top-level directories of a file system, or paths with `..`"
        )


def need_harmless(path: str) -> None:
    """Raise NotReady before the drill begins, if ``refuse_dangerous`` would refuse the path."""
    try:
        refuse_dangerous(path)
    except StepFailed as error:
        raise NotReady(error.message, hint="choose a path at a deeper level") from None
