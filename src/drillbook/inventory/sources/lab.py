"""Tags `!lab` and `!lab_secret`. They are replaced by values of the project's running lab, such as ports and passwords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drillbook.errors import LabError
from drillbook.inventory.sources.source import Around, Source
from drillbook.language.strict import TagReader
from drillbook.values import Secret


class Lab(Source):
    """Source that looks up ports, paths, users and secrets of the lab by their names."""

    def tags(self, around: Around) -> Mapping[str, TagReader]:
        """Return the functions for the tags `!lab` and `!lab_secret`.

        Each function returns a value. It raises ValueError when there is no lab, or when the lab has no value of this name.
        """

        def value_of(name: Any) -> str | int:
            if around.lab is None or not isinstance(name, str):
                raise ValueError("`!lab` can be used only in the inventory of a lab")
            try:
                return around.lab(name)
            except LabError as error:
                raise ValueError(f"{error.message}; {error.hint}".removesuffix("; ")) from None

        def secret(name: Any) -> Secret:
            return Secret(source="file", name=str(value_of(f"secrets.{name}")))

        return {"!lab": value_of, "!lab_secret": secret}
