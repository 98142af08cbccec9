"""Reads the table of contents of a pg_dump archive, and selects the entries that restore a single table."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

_ENTRY = re.compile(r"(\d+); \d+ \d+ (.*)")
_DEPENDS = re.compile(r";\tdepends on:((?: \d+)+)")
_RELATION = re.compile(r"(TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE) (?!DATA |ATTACH |SET |OWNED BY )(.+)")
_FETCHED = ("VIEW", "MATERIALIZED VIEW", "SEQUENCE")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a pg_dump archive, as a line of ``pg_restore --list`` describes it.

    ``name``: schema and name of a relation, separated by a space; ``needs``: numbers of the entries that this entry needs.
    """

    number: int
    line: str
    kind: str
    name: str
    needs: frozenset[int]


def entries(listed: str, roles: Collection[str]) -> list[Entry]:
    """Parse the output of ``pg_restore --list --verbose`` and return its entries in order.

    Each line ends with the owner of the object. A relation is recognised only if its owner is one of ``roles``.
    """
    parsed: list[Entry] = []
    for line in listed.splitlines():
        if depends := _DEPENDS.fullmatch(line):
            last = parsed.pop()
            needs = frozenset(map(int, depends[1].split()))
            parsed.append(Entry(last.number, last.line, last.kind, last.name, needs))
        elif match := _ENTRY.fullmatch(line):
            relation = _RELATION.fullmatch(match[2])
            name, _, owner = (relation[2] if relation else "").rpartition(" ")
            parsed.append(Entry(int(match[1]), line, relation[1] if relation and owner in roles else "", name, frozenset()))
    return parsed


@dataclass(frozen=True, slots=True)
class Selection:
    """Archive entries that restore one table, and the names of the restored objects.

    ``lines``: lines of the entries in the list of the archive; ``tables``: names of the restored tables; ``relations``:
    names of all restored relations; ``kept``: dependent relations that still exist and are not restored; ``whole``: False
    when a dependent table is not restored.
    """

    lines: tuple[str, ...]
    tables: tuple[str, ...]
    relations: tuple[str, ...]
    kept: tuple[str, ...]
    whole: bool


def select(listed: Sequence[Entry], table: str, there: Callable[[str], bool]) -> Selection | None:
    """Select the entries of the table and of all objects that DROP TABLE ... CASCADE removes with it.

    Return None if the archive lacks the table. ``there`` returns True for the name of a relation that exists in the database.
    Such relations, and all objects that belong to them, are not selected. An object can depend on several lost tables, for
    example a view of two tables. It is selected only if ``table`` is the last of these tables to be restored: before, the
    object could not be created.
    """
    by_number = {entry.number: entry for entry in listed}
    start = next((entry for entry in listed if entry.kind == "TABLE" and entry.name == table), None)
    if start is None:
        return None
    later: set[int] = set()
    while True:
        usable = [entry for entry in listed if entry.number not in later]
        wanted, kept = {start.number}, set[str]()
        while more := set(_more(usable, by_number, wanted, there, kept)) - wanted:
            wanted |= more
        missing = {
            entry.number
            for entry in listed
            if entry.kind == "TABLE" and entry.number not in wanted and not there(entry.name)
        }
        waiting = {entry.number for entry in usable if entry.number in wanted and entry.needs & missing}
        if not waiting:
            break
        later |= waiting
    chosen = [entry for entry in listed if entry.number in wanted]
    return Selection(
        tuple(entry.line for entry in chosen),
        tuple(entry.name for entry in chosen if entry.kind == "TABLE"),
        tuple(entry.name for entry in chosen if entry.kind),
        tuple(sorted(kept)),
        not kept and not any(by_number[number].kind == "TABLE" for number in later),
    )


def _more(
    listed: Sequence[Entry], by_number: dict[int, Entry], wanted: set[int], there: Callable[[str], bool], kept: set[str]
) -> Iterator[int]:
    for entry in listed:
        if entry.number not in wanted and entry.needs & wanted:
            if entry.kind and there(entry.name):
                kept.add(entry.name)
            else:
                yield entry.number
        elif entry.number in wanted:
            # A view whose columns are listed in a rule, or a sequence in a column's default, exists without the table
            # itself.
            for other in (by_number[number] for number in entry.needs if number in by_number):
                if other.kind in _FETCHED and not there(other.name):
                    yield other.number
