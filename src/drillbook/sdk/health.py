"""Health of an HTTP service, as its inventory entry describes it: a request, and the answer of a healthy service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from drillbook.values import Secret


class HealthRequest(BaseModel):
    """Request that asks a service for its health, and the answer that counts as healthy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(
        default="/health",
        pattern=r"^(/|https?://)\S*$",
        description="Path below the service's URL, or a whole URL, as of a separate port for health.",
    )
    status: int | None = Field(
        default=None, ge=100, le=599, description="Status of a healthy answer; empty: any status below 400."
    )
    contains: str = Field(default="", description="Text in the body of a healthy answer.")
    headers: Mapping[str, Secret | str] = Field(
        default_factory=dict, description="Request headers, such as `Authorization: !env HEALTH_TOKEN`."
    )
    ca: str = Field(
        default="",
        description="File on the controller with the certificates (PEM) that the server's certificate is verified with; "
        "empty: those of the system.",
    )

    def url(self, root: str) -> str:
        """Return the URL of the request for a service with the URL ``root``."""
        return self.path if self.path.startswith("http") else f"{root.rstrip('/')}{self.path}"


def _from_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Health = Annotated[HealthRequest, BeforeValidator(_from_path)]
"""A health request in an inventory: a mapping, or only its path."""
