"""Field types that several Redis actions share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.sdk.object_reference import Uri

ServiceName = Annotated[str, Field(description="Name of the Redis service in the inventory.")]
Location = Annotated[Uri, Field(alias="from", description="Fact `location` of the step `redis.save`.")]
