"""Fields that the S3 actions share, and what they need of a service before anything runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store, Uri

ServiceName = Annotated[str, Field(description="The S3 service whose objects they are.")]
Prefix = Annotated[str, Field(max_length=1024, description="Only objects whose key begins with this; empty: all.")]
Key = Annotated[str, Field(min_length=1, max_length=1024, description="Key of the object.")]
Location = Annotated[Uri, Field(alias="from", description="The `location` that `s3.copy` gave.")]


def need_versions(ctx: Context, name: str, otherwise: str) -> Store:
    """The store of the service ``name``, whose bucket keeps versions. Raises NotReady, with ``otherwise`` as the hint."""
    store = Store(ctx.service(name, S3))
    try:
        kept = store.versioned()
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    if not kept:
        raise NotReady(f"the bucket {store.service.bucket} keeps no versions", hint=otherwise)
    return store


def need_same_store(one: S3, other: S3) -> None:
    """Raise NotReady unless the two buckets lie in one store, which can then copy between them by itself."""
    if one.endpoint.rstrip("/") != other.endpoint.rstrip("/"):
        raise NotReady(
            f"{one.name} and {other.name} lie in different stores ({one.endpoint}, {other.endpoint}), "
            "and objects are copied inside a store",
            hint="name a bucket of the same store",
        )
