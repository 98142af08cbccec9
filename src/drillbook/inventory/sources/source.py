"""Interface of inventory sources. A source supplies parts of an inventory that are not written in the inventory file
itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from drillbook.language.strict import Document, TagReader

LabLookup = Callable[[str], str | int]
"""Function that looks up a value in a running lab. Its argument is the name of the value, such as `ssh.db-1`."""


@dataclass(frozen=True, slots=True)
class Around:
    """Context of an inventory file: its folder, and the function that looks up values in the project's lab. The
    function is None when there is no lab.
    """

    folder: Path
    lab: LabLookup | None


class Hosts(Protocol):
    """Hosts and groups from a source. Values in inventory files have precedence over them."""

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of the hosts of each group."""

    def hosts(self, written: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Return the fields of a Target for each host. ``written``: the fields that inventory files set. These fields
        replace those of the result, so the result need not contain them.

        Raises InventoryError when a host cannot be used.
        """


class Source:
    """Base class of the sources. A source supplies values of tags, further inventory files, or hosts and groups.

    The base class supplies nothing. Its methods may raise InventoryError. The error contains the position in the
    inventory file that refers to the source.
    """

    key: ClassVar[str] = ""
    """Name of the key that lists the files of the source in an inventory file. The model `Inventory` has a field of the same
    name. The text is empty for a source without such a key.
    """

    def tags(self, around: Around) -> Mapping[str, TagReader]:
        """Return, for each YAML tag of the source, the function that reads the value of the tag."""
        return {}

    def documents(
        self, document: Document, read: Callable[[Path], list[Document]], above: tuple[Path, ...]
    ) -> list[Document]:
        """Call ``read`` to load the inventory files that are listed in ``document``. The file with the lowest
        precedence comes first.

        ``above``: ``document`` itself, and the files that include it, directly or through other files. None of these files
        may be included again.
        """
        return []

    def hosts(self, document: Document) -> Hosts | None:
        """Return the hosts and groups that this source reads for ``document``.

        Returns None when ``document`` does not use the source.
        """
        return None


def names(document: Document, key: str) -> list[str]:
    """Return the paths in the entry ``key`` of ``document`` as a list. A single path may be written without a list.

    Raises InventoryError for any other value.
    """
    value = document.value.get(key)
    paths = [value] if isinstance(value, str) else value if isinstance(value, list) else [] if value is None else [0]
    if not all(isinstance(name, str) and name and "\0" not in name for name in paths):
        raise document.error((key,), f"`{key}` must be a path or a list of paths", hint=f"such as `{key}: [base.yml]`")
    return list(paths)


def exists(path: Path) -> bool:
    """Return True when ``path`` exists. For an invalid path, return False."""
    try:
        return path.exists()
    except (OSError, ValueError):  # the name is too long or invalid
        return False


def expanded(folder: Path, path: str) -> Path:
    """Return ``path`` relative to ``folder``. ``~`` and ``~name`` are expanded as in a shell."""
    return folder / os.path.expanduser(path)  # noqa: PTH111  Path raises for ~nobody
