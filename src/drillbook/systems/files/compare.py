"""Comparison of the entries of a path with the expected entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drillbook.findings import Finding, finding
from drillbook.systems.files.manifest import Entry


@dataclass(frozen=True, slots=True)
class _Property:
    """A property of entries that is compared.

    ``code``: code of the finding about a difference. ``value``: function that returns the value of the property.
    ``applies``: function that returns True for an entry that has the property.
    """

    code: str
    value: Callable[[Entry], str]
    applies: Callable[[Entry], bool] = lambda entry: True


_PROPERTIES = (
    _Property("file-mode", lambda entry: entry.type if entry.type == "link" else f"{entry.type} {entry.mode}"),
    _Property(
        "file-content", lambda entry: f"{entry.size} bytes, sha256 {entry.sha256}", lambda entry: entry.type == "file"
    ),
    _Property("file-owner", lambda entry: f"{entry.uid}:{entry.gid}"),
    _Property("file-link", lambda entry: str(entry.target), lambda entry: entry.type in ("link", "device")),
    _Property(
        "file-link", lambda entry: f"hard link of {entry.same_as}" if entry.same_as else "not a hard link of an earlier file"
    ),
    _Property("file-xattr", lambda entry: json.dumps(entry.xattrs, sort_keys=True)),
    _Property("file-time", lambda entry: f"{entry.mtime} s since 1970", lambda entry: entry.type == "file"),
)


def differences(path: str, wanted: Mapping[str, Entry], existing: Mapping[str, Entry], *, unexpected: bool) -> list[Finding]:
    """Return a finding for each difference between two lists of entries. ``wanted``: expected entries. ``existing``:
    existing entries. The title of each finding contains ``path``.
    """
    wrong = []
    for name, entry in sorted(wanted.items()):
        title = path if name == "." else f"{path}/{name}"
        other = existing.get(name)
        if other is None:
            wrong.append(finding("file-missing", title=title, wanted=entry.type, measured="not there"))
            continue
        for property_ in _PROPERTIES:
            if (
                property_.applies(entry)
                and (other.type == entry.type or property_.code == "file-mode")
                and (property_.value(entry) != property_.value(other))
            ):
                wrong.append(
                    finding(
                        property_.code,
                        title=title,
                        wanted=property_.value(entry)[:400],
                        measured=property_.value(other)[:400],
                    )
                )
    if unexpected:
        wrong += [
            finding("file-unexpected", title=f"{path}/{name}", wanted="nothing", measured=existing[name].type)
            for name in sorted(existing.keys() - wanted.keys())
        ]
    return wrong
