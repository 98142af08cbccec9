"""What an archive of pg_dump holds, and which of it one table needs to be whole again."""

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
    """One entry of the archive's list, in its order. ``name`` is schema and name of a relation with a space between."""

    number: int
    line: str
    kind: str
    name: str
    needs: frozenset[int]


def entries(listed: str, roles: Collection[str]) -> list[Entry]:
    """The entries that ``pg_restore --list --verbose`` shows; ``roles`` are the possible owners, which end a line."""
    found: list[Entry] = []
    for line in listed.splitlines():
        if depends := _DEPENDS.fullmatch(line):
            last = found.pop()
            needs = frozenset(map(int, depends[1].split()))
            found.append(Entry(last.number, last.line, last.kind, last.name, needs))
        elif match := _ENTRY.fullmatch(line):
            relation = _RELATION.fullmatch(match[2])
            name, _, owner = (relation[2] if relation else "").rpartition(" ")
            found.append(Entry(int(match[1]), line, relation[1] if relation and owner in roles else "", name, frozenset()))
    return found


@dataclass(frozen=True, slots=True)
class Selection:
    """What one table needs: the entries, the tables among them, and other tables that depend on it but are there."""

    lines: tuple[str, ...]
    tables: tuple[str, ...]
    relations: tuple[str, ...]
    kept: tuple[str, ...]


def select(found: Sequence[Entry], table: str, there: Callable[[str], bool]) -> Selection | None:
    """Everything that is gone when ``table`` is dropped with all that depends on it; None when it is not in the archive.

    ``there`` tells of the name of a relation whether it exists now: such a one is left as it is, with all that is its own.
    What also needs another table that is gone, such as a view of both, comes back with the last of them.
    """
    by_number = {entry.number: entry for entry in found}
    start = next((entry for entry in found if entry.kind == "TABLE" and entry.name == table), None)
    if start is None:
        return None
    later: set[int] = set()
    while True:
        usable = [entry for entry in found if entry.number not in later]
        wanted, kept = {start.number}, set[str]()
        while more := set(_more(usable, by_number, wanted, there, kept)) - wanted:
            wanted |= more
        missing = {one.number for one in found if one.kind == "TABLE" and one.number not in wanted and not there(one.name)}
        waiting = {entry.number for entry in usable if entry.number in wanted and entry.needs & missing}
        if not waiting:
            break
        later |= waiting
    chosen = [entry for entry in found if entry.number in wanted]
    return Selection(
        tuple(entry.line for entry in chosen),
        tuple(entry.name for entry in chosen if entry.kind == "TABLE"),
        tuple(entry.name for entry in chosen if entry.kind),
        tuple(sorted(kept)),
    )


def _more(
    found: Sequence[Entry], by_number: dict[int, Entry], wanted: set[int], there: Callable[[str], bool], kept: set[str]
) -> Iterator[int]:
    for entry in found:
        if entry.number not in wanted and entry.needs & wanted:
            if entry.kind and there(entry.name):
                kept.add(entry.name)
            else:
                yield entry.number
        elif entry.number in wanted:
            # A view that lists its columns in a rule, or a sequence behind a default, does not need the table itself.
            for other in (by_number[number] for number in entry.needs if number in by_number):
                if other.kind in _FETCHED and not there(other.name):
                    yield other.number
