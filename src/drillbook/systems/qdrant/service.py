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
        description=("Root URL of the REST API with its port, as seen from the controller, without a slash at the end."),
    )
    collection: str = Field(min_length=1, description="Name of the collection.")
    api_key: Password = Field(default=None, description="API key of the server.")
    temporary: bool = Field(
        default=False,
        description=(
            "`true`: the collection exists only during a rehearsal. `qdrant.recover` makes it from a snapshot, and removes it "
            "at the end of the run. Therefore no check before a drill looks for it."
        ),
    )

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the collection. It consists of the names of collection and server."""
        return word("qdrant", self.collection, "at", origin(self.url))
