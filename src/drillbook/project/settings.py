"""Settings of a project: the optional file ``drillbook.yml`` in its folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import InventoryError
from drillbook.inventory.sources import SOURCES
from drillbook.inventory.sources.source import Around
from drillbook.language import strict
from drillbook.values import Secret

FILE = "drillbook.yml"
_TAGS = ("!env", "!file")
"""Sources of a secret in this file: it is read without a drill, so it cannot name commands."""


class Settings(BaseModel):
    """Settings of a project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: str = Field(
        default="",
        description="File that receives the metrics after every run, such as the textfile collector's; relative to the project.",
    )
    heartbeat: Secret | None = Field(
        default=None,
        description="URL that `schedule.run` requests when nothing is overdue and every run that it started passed; a secret.",
    )


def load(root: Path) -> Settings:
    """Read the settings of the project in ``root``; the defaults without the file. Raises InventoryError with the position."""
    path = root / FILE
    if not path.is_file():
        return Settings()
    tags = {tag: read for source in SOURCES for tag, read in source.tags(Around(root, None)).items() if tag in _TAGS}
    document = strict.load(path, tags=tags, error_type=InventoryError)
    return document.validate(Settings, document.value)
