"""The files of an inventory: those that it includes, merged key by key, and Ansible inventories that it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import InventoryError
from drillbook.inventory.ansible import hosts as ansible
from drillbook.language import strict
from drillbook.language.strict import Document, TagReader

Model = TypeVar("Model", bound=BaseModel)
TagsOf = Callable[[Path], Mapping[str, TagReader]]
MERGED = ("hosts", "contacts")
"""Parts whose entries are merged field by field; entries of groups are replaced, services stand in one file only."""


class AnsibleSource(BaseModel):
    """Ansible inventories, and what is taken of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: str | tuple[str, ...] = Field(description="Files or folders, as for `ansible-inventory -i`; later ones win.")
    limit: str = Field(default="", description="Host pattern: only these hosts are taken.")
    vault: Literal["refuse", "ignore"] = Field(
        default="refuse", description="What to do about encrypted files of variables: an error, or leave them out."
    )


def documents(path: Path, tags: TagsOf, above: tuple[Path, ...] = ()) -> list[Document]:
    """The file and all that it includes, the weakest first. Raises InventoryError."""
    document = strict.load(path, tags=tags(path.parent), error_type=InventoryError)
    here = path.resolve()
    found: list[Document] = []
    for index, name in enumerate(_names(document, "include")):
        place = ("include", index) if isinstance(document.value["include"], list) else ("include",)
        inner = Path(os.path.normpath(path.parent / name))
        if _exists(inner) and inner.resolve() in (*above, here):
            raise document.error(place, f"{name} includes itself", hint="remove it from one of the two files")
        if not _exists(inner) or not inner.is_file():
            raise document.error(place, f"there is no file {inner}", hint="paths are relative to the file's own folder")
        found += documents(inner, tags, (*above, here))
    if len(found) > 100:
        raise document.error(("include",), "more than 100 files are included")
    return [*found, document]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or no name at all
        return False


def _names(document: Document, key: str) -> list[str]:
    value = document.value.get(key)
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else [] if value is None else [0]
    if not all(isinstance(name, str) and name and "\0" not in name for name in names):
        raise document.error((key,), f"`{key}` names files: a path or a list of paths", hint=f"such as `{key}: [base.yml]`")
    return list(names)


def resolve(model: type[Model], found: list[Document]) -> Model:
    """The inventory that ``found`` say together. Raises InventoryError."""
    merged = found[0] if len(found) == 1 else _merged(found)
    value = {key: part for key, part in merged.value.items() if key not in ("include", "ansible")}
    hosts: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    written = value.get("hosts") if isinstance(value.get("hosts"), dict) else {}
    ours = {name: fields for name, fields in (written or {}).items() if isinstance(fields, dict)}
    for document in found:
        if document.value.get("ansible") is not None:
            read = _ansible(document)
            for name, fields in read.hosts(ours).items():
                hosts[name] = {**hosts.get(name, {}), **fields}
            groups |= read.groups
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
    return merged.validate(model, value)


def _ansible(document: Document) -> ansible.AnsibleInventory:
    value = document.value["ansible"]
    options = (
        document.validate(AnsibleSource, value, ("ansible",))
        if isinstance(value, dict)
        else AnsibleSource(files=tuple(_names(document, "ansible")))
    )
    folder = Path(document.file).parent
    names = (options.files,) if isinstance(options.files, str) else options.files
    paths = [folder / name for name in names if "\0" not in name]
    for path in paths:
        if not _exists(path):
            raise document.error(
                ("ansible",), f"there is no Ansible inventory {path}", hint="paths are relative to the file's own folder"
            )
    return ansible.read(paths, vault=options.vault == "ignore", limit=options.limit)


def _merged(found: list[Document]) -> Document:
    value: dict[str, Any] = {}
    for number, document in enumerate(found):
        for key, part in document.value.items():
            before = value.get(key)
            if not (isinstance(part, dict) and isinstance(before, dict)) or key == "ansible":
                value[key] = part
                continue
            value[key] = dict(before)
            for name, entry in part.items():
                if key == "services" and name in before:
                    raise _twice(document, found[:number], name)
                old = before.get(name)
                both = key in MERGED and isinstance(entry, dict) and isinstance(old, dict)
                value[key][name] = {**old, **entry} if both else entry  # type: ignore[dict-item]
    last = found[-1]
    marks = {place: mark for document in found for place, mark in document.marks.items()}
    keys = {place: mark for document in found for place, mark in document.keys.items()}
    return Document(last.file, value, last.lines, marks, keys, last.error_type, tuple(found))


def _twice(document: Document, before: list[Document], name: str) -> InventoryError:
    first = next(other for other in reversed(before) if ("services", name) in other.marks)
    error = document.error(
        ("services", name),
        f"the service {name!r} is also described in {first.where(('services', name), key=True)}",
        key=True,
        hint="a service stands in one file only: remove one of them, or give it another name",
    )
    return InventoryError(error.message, where=error.where, excerpt=error.excerpt, hint=error.hint)
