"""Field types that several Qdrant actions share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from drillbook.sdk.action import Context
from drillbook.sdk.object_reference import Uri
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.systems.qdrant.points import id_of


def _ids(values: list[int | str]) -> list[int | str]:
    return [id_of(value) for value in values]


ServiceName = Annotated[str, Field(description="Name of the Qdrant service in the inventory.")]
Location = Annotated[Uri, Field(alias="from", description="Fact `location` of the step `qdrant.snapshot`.")]
Database = Annotated[str, Field(description="PostgreSQL service with the source rows of the points.")]
Query = Annotated[
    str,
    Field(
        min_length=1,
        description=(
            "SQL query that returns, in one column, the id of every point that must exist. The query runs as "
            "the application's role in a transaction that cannot write. The application must write each row before its vector."
        ),
    ),
]
Chosen = Annotated[list[int | str], Field(min_length=1, max_length=5000), AfterValidator(_ids)]


FILE_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
"""Pattern of the name of an evidence file or a run. A path with folders does not match."""


def store_of(ctx: Context, uri: str) -> Store:
    """Return the object store of the bucket in ``uri``. Raises PlanError when the inventory has no such bucket."""
    service: S3 = ctx.bucket(uri)
    return Store(service)
