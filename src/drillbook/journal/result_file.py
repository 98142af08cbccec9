"""The result file of a run or suite. It is read once. All functions that need it get the same object."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from drillbook.journal.json_values import json_object
from drillbook.journal.run_files import RESULT

Mark = tuple[int, int, int]
"""Inode, size and time of change of a file. While they stay the same, the file did not change."""


@dataclass(frozen=True)
class ResultFile:
    """File ``result.json`` in ``folder``. Its bytes are read at the first use, so that all users get the same bytes."""

    folder: Path

    @cached_property
    def _read(self) -> tuple[bytes | OSError, Mark | None]:
        try:
            with (self.folder / RESULT).open("rb") as file:
                return file.read(), _mark(os.fstat(file.fileno()))
        except OSError as error:
            return error, None

    @property
    def data(self) -> bytes:
        """Bytes of the file. Raises OSError when it cannot be read."""
        content = self._read[0]
        if isinstance(content, OSError):
            raise content
        return content

    def parsed(self) -> Any:
        """Parse the file. Raises OSError when it cannot be read, and ValueError when it is not JSON."""
        return json.loads(self.data)

    def as_object(self) -> dict[str, Any]:
        """Return the JSON object in the file. It is empty when the file is missing or damaged."""
        content = self._read[0]
        return {} if isinstance(content, OSError) else json_object(content)

    def current(self) -> ResultFile:
        """Return this object if the file is unchanged since it was read. Otherwise return a new object for the changed file.

        Only the inode, the size and the time of change are compared. A run that ends meanwhile replaces the file.
        """
        try:
            now = _mark((self.folder / RESULT).stat())
        except OSError:
            now = None
        return self if now == self._read[1] else ResultFile(self.folder)


def _mark(status: os.stat_result) -> Mark:
    return status.st_ino, status.st_size, status.st_mtime_ns
