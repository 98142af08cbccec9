"""Settings of a sandbox in an inventory."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.sdk.isolation import Kind
from drillbook.values import Size


class SandboxConfig(BaseModel):
    """Settings of a sandbox. A restore creates the sandbox, and the run always removes it at its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._/-]*[A-Za-z0-9._-])?$",
        description=(
            "Folder of the sandbox on the host. It is created and removed with the sandbox. Empty: "
            "/var/tmp/drillbook-sandbox-NAME."
        ),
    )
    isolation: Kind = Field(
        default="namespace",
        description=(
            "namespace: the processes have a network namespace of their own without a network (unshare(1)). "
            "container: they run in a container of `image` that has no network and sees only the sandbox's "
            "folder. none: they have the host's network; use this on a host or in a container without a route to "
            "production."
        ),
    )
    image: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._/:@-]*)?$",
        description=(
            "Image of the container. It contains the programs of the service. It must exist on the host; "
            "Drillbook never pulls it."
        ),
    )
    memory: Size = Field(
        default=Size(2 << 30),
        description=(
            "Memory limit of all processes of the sandbox together. When the processes exceed the limit, they are killed."
        ),
    )
    disk: Size = Field(
        default=Size(20 << 30),
        description=("Size limit of the sandbox's folder. When the limit is exceeded, the processes are killed."),
    )
    data_may_leave: bool = Field(
        default=False,
        description=(
            "True: a sandbox may be on the machine that runs Drillbook. Data of other hosts is then copied to this machine."
        ),
    )

    @model_validator(mode="after")
    def _image_of_container(self) -> SandboxConfig:
        if bool(self.image) is not (self.isolation == "container"):
            raise ValueError("set both `isolation: container` and `image` (the image of the container), or leave out both")
        return self
