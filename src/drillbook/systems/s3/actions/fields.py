"""Field types that several S3 actions share. This module also checks a store before the drill begins."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.object_reference import Uri
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store

ServiceName = Annotated[str, Field(description="S3 service that contains the objects.")]
Prefix = Annotated[
    str,
    Field(max_length=1024, description="Select only objects whose keys begin with this prefix. Empty: select all objects."),
]
Key = Annotated[str, Field(min_length=1, max_length=1024, description="Key of the object.")]
Location = Annotated[Uri, Field(alias="from", description="Fact `location` of the step `s3.copy`.")]


def need_versions(ctx: Context, name: str, otherwise: str) -> Store:
    """Return the store of the service ``name`` if its bucket keeps versions.

    Raises NotReady when the bucket keeps no versions. ``otherwise`` is the hint of this error.
    """
    store = Store(ctx.service(name, S3))
    try:
        kept = store.versioned()
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    if not kept:
        raise NotReady(f"the bucket {store.service.bucket} keeps no versions", hint=otherwise)
    return store


def need_same_store(s3: S3, other: S3) -> None:
    """Raise NotReady unless both buckets belong to the same store. A store can copy objects only between its own
    buckets.
    """
    if s3.endpoint.rstrip("/") != other.endpoint.rstrip("/"):
        raise NotReady(
            f"{s3.name} and {other.name} are in different stores ({s3.endpoint} and {other.endpoint}), but "
            f"objects can be copied only inside one store",
            hint="use two buckets of the same store",
        )
