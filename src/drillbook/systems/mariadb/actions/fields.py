"""Field types that several MariaDB actions share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

ServiceName = Annotated[str, Field(description="Name of the MariaDB service in the inventory.")]
