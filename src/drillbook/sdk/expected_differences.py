"""Type of parameters that list the expected differences of a comparison, and the reason for each difference."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _reasons(value: dict[str, str]) -> dict[str, str]:
    if empty := [name for name, why in value.items() if not why.strip()]:
        raise ValueError(f"{empty[0]} needs a reason; the reason will appear in the report")
    return value


Reasons = Annotated[dict[str, str], AfterValidator(_reasons)]
"""Expected differences. The key of each entry is a name or a pattern, and the value is the reason, which the report shows.
"""
