"""Type of the parameters that list expected differences of a comparison, each with its reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _reasons(value: dict[str, str]) -> dict[str, str]:
    if empty := [name for name, why in value.items() if not why.strip()]:
        raise ValueError(f"{empty[0]} needs a reason, which the report shows")
    return value


Reasons = Annotated[dict[str, str], AfterValidator(_reasons)]
"""Expected differences by name or pattern, each with the reason, which the report shows."""
