"""The tags `!lab` and `!lab_secret`, replaced by values of the project's running lab, such as ports and passwords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drillbook.errors import LabError
from drillbook.inventory.sources.source import Around, Source
from drillbook.language.strict import TagReader
from drillbook.values import Secret


class Lab(Source):
    """Source of ports, paths, users and secrets of the lab, by name."""

    def tags(self, around: Around) -> Mapping[str, TagReader]:
        """Functions for `!lab` and `!lab_secret`, which return a tag's value; they raise ValueError without a lab."""

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
