"""Reads the settings of a project from the file ``drillbook.yml`` in the project's folder. This file is optional."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import InventoryError, SecretError
from drillbook.inventory.sources.registry import SOURCES
from drillbook.inventory.sources.source import Around
from drillbook.language import strict
from drillbook.language.mistakes import Mistakes
from drillbook.values import Secret

FILE = "drillbook.yml"
_TAGS = ("!env", "!file")
"""Sources of secrets that are allowed in this file. A program is not allowed as a source, because the file is also read when
no drill runs.
"""


class Settings(BaseModel):
    """Settings of a project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: str = Field(
        default="",
        description=(
            "File into which the metrics are written after every run, for example a file of the textfile "
            "collector. The path is relative to the project."
        ),
    )
    heartbeat: Secret | None = Field(
        default=None,
        description=(
            "Secret that contains a URL. `schedule.run` requests this URL if every run that it started has passed, "
            "and if `drill.due` would exit with 0."
        ),
    )


def mistakes(root: Path) -> tuple[str, ...]:
    """Return one line for each mistake in the settings of the project in ``root``. The line begins with the position of the
    mistake."""
    try:
        load(root)
    except InventoryError as error:
        return tuple(
            f"{mistake.where or root / FILE}: {mistake.message}".removeprefix(f"{root}/")
            for mistake in (error, *error.others)
        )
    return ()


def usable(root: Path) -> Settings:
    """Load the settings of the project in ``root``, and read the URL of the heartbeat. Raises InventoryError as ``load`` does,
    and SecretError when the URL cannot be read.
    """
    made = load(root)
    if made.heartbeat is not None:
        try:
            made.heartbeat.reveal()
        except SecretError as error:
            raise SecretError(f"heartbeat of {FILE}: {error.message}", hint=error.hint) from None
    return made


def load(root: Path) -> Settings:
    """Load the settings of the project in ``root``. If the file is missing, return the default settings. Raises
    InventoryError with the position of each mistake when the file is invalid.
    """
    path = root / FILE
    if not path.is_file():
        return Settings()
    tags = {tag: read for source in SOURCES for tag, read in source.tags(Around(root, None)).items() if tag in _TAGS}
    collected = Mistakes()
    document = strict.load(path, tags=tags, error_type=InventoryError, mistakes=collected)
    made = collected.of(document.validate, Settings, document.value)
    collected.report()
    return cast("Settings", made)
