"""The service kind `folder`: a folder with files, often a sandbox for restored files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from drillbook.sdk.sandbox import Sandboxed


class Folder(Sandboxed):
    """A folder of files on a host."""

    RUNS: ClassVar[bool] = False
    kind: Literal["folder"] = "folder"
    path: str = Field(
        default="",
        pattern=r"^(/.*)?$",
        description="Path of the folder on the host. For a sandbox, Drillbook sets this field.",
    )

    @classmethod
    def fields_in_sandbox(cls, folder: str) -> Mapping[str, Any]:
        """Return the field `path` of a sandbox: the subfolder `data` of the sandbox's folder."""
        return {"path": f"{folder}/data"}

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if not self.path:
            raise ValueError("a folder needs a `path`, or `sandbox: {}`")
        return self

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the folder. The name is made of the folder's path."""
        return f"folder-{self.path.strip('/').replace('/', '-')}"

    @property
    def data(self) -> str:
        """Path of the folder. It contains all data of the service."""
        return self.path
