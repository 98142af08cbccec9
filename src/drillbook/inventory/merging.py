"""Merges the files of an inventory key by key. Values in these files have precedence over hosts and groups from other
sources, such as Ansible.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from drillbook.errors import InventoryError
from drillbook.inventory.sources.registry import KEYS, SOURCES
from drillbook.inventory.sources.source import Around, LabLookup
from drillbook.language import strict
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Document

MERGED = ("hosts", "contacts")
"""Sections whose entries are merged field by field.

In the other sections, an entry completely replaces an entry of the same name from a file with lower precedence. A
service or a backup source may be described in only one file.
"""


def documents(
    path: Path, lab: LabLookup | None, above: tuple[Path, ...] = (), mistakes: Mistakes | None = None
) -> list[Document]:
    """Read the inventory file ``path`` and the files that it includes. The file with the lowest precedence comes first.

    Raises InventoryError when a file cannot be read. ``mistakes``: optional list. Mistakes that leave the rest of a
    file readable are added to it and not raised.
    """
    around = Around(path.parent, lab)
    tags = {tag: reader for source in SOURCES for tag, reader in source.tags(around).items()}
    document = strict.load(path, tags=tags, error_type=InventoryError, mistakes=mistakes)
    being_read = (*above, path.resolve())
    read = partial(documents, lab=lab, above=being_read, mistakes=mistakes)
    return [*(inner for source in SOURCES for inner in source.documents(document, read, being_read)), document]


def resolve(files: list[Document]) -> tuple[Document, dict[str, Any]]:
    """Merge ``files`` into one inventory. Return the merged document, and its value with the hosts and groups of all sources.
    Raises InventoryError when the files cannot be merged.
    """
    merged = files[0] if len(files) == 1 else _merged(files)
    value = {key: part for key, part in merged.value.items() if key not in KEYS}
    written = value.get("hosts") if isinstance(value.get("hosts"), dict) else {}
    hosts, groups = _below(files, {name: fields for name, fields in (written or {}).items() if isinstance(fields, dict)})
    if hosts and isinstance(value.get("hosts", {}), dict | None):
        value["hosts"] = {
            **hosts,
            **{
                name: {**hosts.get(name, {}), **(fields or {})} if isinstance(fields, dict | None) else fields
                for name, fields in (written or {}).items()
            },
        }
    if groups and isinstance(value.get("groups", {}), dict | None):
        value["groups"] = {**groups, **(value.get("groups") or {})}
    return merged, value


def _below(files: list[Document], written: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[str, ...]]]:
    """Return what sources such as Ansible supply: the fields of each host, and the names of the hosts in each group.
    ``written``: the hosts that inventory files describe.

    Raises InventoryError when a source cannot be read.
    """
    hosts: dict[str, dict[str, Any]] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for document in files:
        for read in filter(None, (source.hosts(document) for source in SOURCES)):
            for name, fields in read.hosts(written).items():
                hosts[name] = {**hosts.get(name, {}), **fields}
            groups.update(read.groups)
    return hosts, groups


def _merged(files: list[Document]) -> Document:
    value: dict[str, Any] = {}
    for number, document in enumerate(files):
        for key, part in document.value.items():
            before = value.get(key)
            if not (isinstance(part, dict) and isinstance(before, dict)) or key in KEYS:
                value[key] = part
                continue
            value[key] = dict(before)
            for name, entry in part.items():
                if key in ("services", "backups") and name in before:
                    raise _twice(document, files[:number], key, name)
                old = before.get(name)
                both = key in MERGED and isinstance(entry, dict) and isinstance(old, dict)
                value[key][name] = {**old, **entry} if both else entry  # type: ignore[dict-item]
    last = files[-1]
    marks = {place: mark for document in files for place, mark in document.marks.items()}
    keys = {place: mark for document in files for place, mark in document.keys.items()}
    unread = {place: error for document in files for place, error in document.unread.items()}
    return Document(last.file, value, last.lines, marks, keys, last.error_type, tuple(files), unread)


def _twice(document: Document, before: list[Document], key: str, name: str) -> InventoryError:
    what = {"services": "service", "backups": "backup"}[key]
    first = next(other for other in reversed(before) if (key, name) in other.marks)
    error = document.error(
        (key, name),
        f"the {what} {name!r} is also described in {first.where((key, name), key=True)}",
        key=True,
        hint=f"a {what} may be described in only one file: remove one of the two, or rename it",
    )
    return InventoryError(error.message, where=error.where, excerpt=error.excerpt, hint=error.hint)
