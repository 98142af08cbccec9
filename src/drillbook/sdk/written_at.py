"""Places of hosts and services in an inventory, so that messages can name the file and the line to correct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr


@dataclass(frozen=True, slots=True, eq=False)
class WrittenAt:
    """Place of an entry in an inventory: the file, the line of the entry's key, and the lines of its fields.

    All objects of this class compare as equal. Therefore the places of two entries have no effect when the entries are
    compared.
    """

    file: str = ""
    line: int = 0
    fields: Mapping[str, int] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WrittenAt)

    def __hash__(self) -> int:
        return 0

    def line_of(self, key: str) -> str:
        """Return the place of the field ``key`` for a message. The result is empty when the entry was not read from a file."""
        return f" ({'/'.join(PurePath(self.file).parts[-2:])}:{self.fields.get(key, self.line)})" if self.file else ""


class Located(BaseModel):
    """Base of the entries of an inventory. Each entry stores its place: the file and the lines in which it is written. ``name``
    is the key of the entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    SECTION: ClassVar[str]
    """Key of the inventory under which the entries are described."""

    _written: WrittenAt = PrivateAttr(default_factory=WrittenAt)

    def written_at(self, file: str, line: int, fields: Mapping[str, int]) -> None:
        """Store the place of the entry: the file, the line of the entry's key, and the line of each field. Hints show it."""
        self._written = WrittenAt(file, line, dict(fields))

    def setting(self, key: str) -> str:
        """Return a text for a hint: the path of the field ``key`` in the inventory, with the file and the line of the field.
        If the entry does not set the field, the text has the line of the entry. An entry that was not read from a file has
        neither file nor line.
        """
        name = getattr(self, "name", "")
        return f"`{self.SECTION}.{name}.{key}`{self._written.line_of(key)}"
