"""The tags `!lab` and `!lab_secret`: they are replaced by values of the project's running lab, such as ports and passwords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drillbook.errors import LabError
from drillbook.inventory.sources.source import Around, Source
from drillbook.language.strict import TagReader
from drillbook.values import Secret


class Lab(Source):
    """Looks up ports, paths, users and secrets of the lab by name."""

    def tags(self, around: Around) -> Mapping[str, TagReader]:
        """Functions that return the value of a tag `!lab` or `!lab_secret`; they raise ValueError when there is no lab."""

        def value_of(name: Any) -> str | int:
            if around.lab is None or not isinstance(name, str):
                raise ValueError("`!lab` works only in the inventory of a lab")
            try:
                return around.lab(name)
            except LabError as error:
                raise ValueError(f"{error.message}; {error.hint}".removesuffix("; ")) from None

        def secret(name: Any) -> Secret:
            return Secret(source="file", name=str(value_of(f"secrets.{name}")))

        return {"!lab": value_of, "!lab_secret": secret}
