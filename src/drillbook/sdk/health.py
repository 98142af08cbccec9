"""Health of an HTTP service. The inventory describes how to request the health, and the answer of a healthy service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from drillbook.values import Secret


class HealthRequest(BaseModel):
    """Request that asks a service about its health, and description of the answer of a healthy service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(
        default="/health",
        pattern=r"^(/|https?://)\S*$",
        description=(
            "Path below the service's URL. It may also be a whole URL, for example when the health check has "
            "a port of its own."
        ),
    )
    status: int | None = Field(
        default=None,
        ge=100,
        le=599,
        description=("Status of a healthy answer. Empty: any status below 400 counts as healthy."),
    )
    contains: str = Field(default="", description="Text that the body of a healthy answer contains.")
    headers: Mapping[str, Secret | str] = Field(
        default_factory=dict, description="Request headers, such as `Authorization: !env HEALTH_TOKEN`."
    )
    ca: str = Field(
        default="",
        description=(
            "File of CA certificates (PEM) on the controller, with which the server's certificate is verified. "
            "Empty: the certificates of the system."
        ),
    )

    def url(self, root: str) -> str:
        """Return the URL of the request for a service with the URL ``root``."""
        return self.path if self.path.startswith("http") else f"{root.rstrip('/')}{self.path}"


def _from_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Health = Annotated[HealthRequest, BeforeValidator(_from_path)]
"""Type of the request by which Drillbook asks a service for its health. The inventory contains this request as a mapping, or
only the path of its URL.
"""
