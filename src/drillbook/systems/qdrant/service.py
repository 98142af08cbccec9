"""The service kind `qdrant`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drillbook.sdk.service import Password, Service, origin, word


class Qdrant(Service):
    """A collection of vectors in a Qdrant server."""

    kind: Literal["qdrant"] = "qdrant"
    url: str = Field(
        pattern=r"^https?://[^/]",
        description=("Root URL of its REST API with its port, as the controller reaches it, without a slash at the end."),
    )
    collection: str = Field(min_length=1, description="Name of the collection.")
    api_key: Password = Field(default=None, description="Its API key.")

    @property
    def lock_name(self) -> str:
        """Collection and server."""
        return word("qdrant", self.collection, "at", origin(self.url))
