"""Differences between the expected and the existing points of a collection, as findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drillbook.findings import Finding, finding
from drillbook.language.lists import leading
from drillbook.sdk.host import excerpt
from drillbook.systems.qdrant.points import Id, ordered

SHOWN = 20
"""For each kind of difference, at most this number of points have a finding of their own. One further finding says how many
points remain.
"""


def content(wanted: Mapping[Id, bytes], measured: Mapping[Id, bytes], place: str) -> list[Finding]:
    """Return findings about missing, different and unexpected points. Points are matched by their ids. ``place`` is the name
    of the collection.
    """
    other = {point_id for point_id in wanted.keys() & measured.keys() if wanted[point_id] != measured[point_id]}
    return [
        *_each("vector-missing", wanted.keys() - measured.keys(), place, "a point", "no such point"),
        *_each("vector-content", other, place, "the same vector and payload as in the backup", "another digest"),
        *_each("vector-unexpected", measured.keys() - wanted.keys(), place, "no such point", "a point"),
    ]


def sets(missing: Iterable[Id], strays: Iterable[Id], place: str) -> list[Finding]:
    """Return findings about database rows without a vector, and vectors without a database row."""
    return [
        *_each("vector-missing", set(missing), place, "a vector for the row with that id", "no such point"),
        *_each("vector-unexpected", set(strays), place, "a row in the database with that id", "no such row"),
    ]


def _each(code: str, ids: Iterable[Id], place: str, wanted: str, measured: str) -> list[Finding]:
    all_ids = ordered(set(ids))
    first, others = leading(all_ids, SHOWN)
    shown = [finding(code, title=f"{place}, point {point_id}", wanted=wanted, measured=measured) for point_id in first]
    if others:
        shown.append(finding(code, title=f"{place}, {others} more points", measured=f"{len(all_ids)} points in all"))
    return shown


def config(wanted: Mapping[str, Any], measured: Mapping[str, Any], place: str) -> list[Finding]:
    """Return findings about vector settings that differ from those in the backup."""
    wrong = [key for key in ("vectors", "sparse_vectors") if wanted.get(key) != measured.get(key)]
    return [
        finding(
            "vector-config",
            title=f"{place}, {key}",
            wanted=excerpt(str(wanted.get(key)), limit=300),
            measured=excerpt(str(measured.get(key)), limit=300),
        )
        for key in wrong
    ]
