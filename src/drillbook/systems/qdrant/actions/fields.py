"""Fields that the Qdrant actions share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from drillbook.sdk.action import Context
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store, Uri
from drillbook.systems.qdrant.points import id_of


def _ids(values: list[int | str]) -> list[int | str]:
    return [id_of(value) for value in values]


ServiceName = Annotated[str, Field(description="The Qdrant service in the inventory.")]
Location = Annotated[Uri, Field(alias="from", description="The `location` that `qdrant.snapshot` gave.")]
Database = Annotated[str, Field(description="The PostgreSQL service whose rows the vectors belong to.")]
Query = Annotated[
    str,
    Field(
        min_length=1,
        description=(
            "SQL that gives the id of every point that must be there, in one column. It runs as the application's role in a "
            "transaction that cannot write. Rows must be written before their vectors."
        ),
    ),
]
Chosen = Annotated[list[int | str], Field(min_length=1, max_length=5000), AfterValidator(_ids)]


def store_of(ctx: Context, uri: str) -> Store:
    """The store that holds ``uri``. Raises PlanError."""
    service: S3 = ctx.bucket(uri)
    return Store(service)
