"""The chain over all runs: each journal's first event names the head of the run before it, so none can go unnoticed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from drillbook.audit.period import Period
from drillbook.audit.records import Record, Stray
from drillbook.report.figures import count, moment, utc

SLACK_S = 60.0
"""How much later than the head it names a run's first event may be written."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the record does not show as it should; a ``breaking`` one keeps it from being whole."""

    code: str
    run: str
    text: str
    breaking: bool
    first: str | None
    last: str | None
    """Between which moments it may have happened; None is not known."""


@dataclass(frozen=True, slots=True)
class Link:
    """What one run's first event says of the run before it, and which later run vouches for its own journal."""

    before: str
    anchored_events: int
    """How many of its events a later run's first event vouches for."""
    anchored_by: str


@dataclass(slots=True)
class Chain:
    """The chain over all journals that were found."""

    links: dict[str, Link] = field(default_factory=dict)
    """By folder."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hash stands: the event ``seq`` of a journal."""

    record: Record
    seq: int

    @property
    def head(self) -> bool:
        return self.seq == len(self.record.hashes) - 1


def follow(found: Sequence[Record], strays: Sequence[Stray]) -> Chain:
    """Follow the chain over ``found``, which is sorted by run."""
    chain = Chain()
    records = [one for one in found if not one.copy_of]
    places = {value: _Place(one, seq) for one in records for seq, value in enumerate(one.hashes)}
    chain.problems += _files(found, records, places)
    chain.problems += _strays(strays)
    vouched: dict[str, tuple[int, str]] = {}
    said: dict[str, str] = {}
    for number, one in enumerate(records):
        if one.first is None:
            said[one.folder] = "not known: the first line of its journal cannot be trusted"
            continue
        place = places.get(one.first.prev) if one.first.prev else None
        said[one.folder] = _before(one, place)
        if place and place.seq + 1 > vouched.get(place.record.folder, (0, ""))[0]:
            vouched[place.record.folder] = (place.seq + 1, one.run)
        chain.problems += _link_problems(records[:number], one, place)
    for one in records:
        events, by = vouched.get(one.folder, (0, ""))
        chain.links[one.folder] = Link(said[one.folder], events, by)
    return chain


def _before(one: Record, place: _Place | None) -> str:
    if one.first is None or one.first.prev is None:
        return "none: the first run of the record"
    if place is None:
        return "MISSING: no journal holds the head that it names"
    if place.record.damage:
        return f"{place.record.run}, whose journal is damaged now"
    if place.head:
        return place.record.run
    recovered = any(resumed.seq == place.seq + 1 for resumed in place.record.recoveries)
    why = "it was recovered later" if recovered else "it was still going on"
    return f"{place.record.run}, at its event {place.seq}: {why}"


def _link_problems(earlier: Sequence[Record], one: Record, place: _Place | None) -> Iterator[Problem]:
    """What is wrong with what ``one`` says of the run before it; ``earlier`` are the runs before, oldest first."""
    before = earlier[-1] if earlier else None
    if one.first and one.first.prev and place is None:
        yield _missing(before, one)
        return
    if place and place.record not in earlier:
        yield Problem(
            "forward",
            one.run,
            f"{one.run} names {place.record.run} as the run before it, which began after it: "
            "a clock was set back, or a folder was renamed",
            True,
            one.started,
            place.record.started,
        )
        return
    if place and not place.record.damage and not place.head and not _plausible(one, place):
        yield Problem(
            "grown",
            place.record.run,
            f"the journal of {place.record.run} ended with event {place.seq} when "
            f"{one.run} began, and holds {len(place.record.hashes)} events now, without a recovery that wrote "
            "them",
            True,
            place.record.started,
            one.started,
        )
    start = earlier.index(place.record) + 1 if place else 0
    for other in earlier[start:]:
        if not other.empty:
            yield _fork(other, one, place)


def _missing(before: Record | None, one: Record) -> Problem:
    head = one.first.prev if one.first else ""
    text = f"{one.run} (begun {utc(one.started)}) names {head} as the head of the run before it, and no journal holds it: "
    if before is None:
        text += "the runs before it are not in this folder"
    else:
        text += f"a run between {before.run} and it is missing, or the end of the journal of {before.run} was cut off"
        text += "" if before.finished else " (that journal holds no end)"
    return Problem("missing-run", one.run, text, True, before.started if before else None, one.started)


def _plausible(one: Record, place: _Place) -> bool:
    """May the journal have had only so many events when ``one`` began: did a recovery, or the run itself, go on later?"""
    record = place.record
    if any(resumed.seq == place.seq + 1 for resumed in record.recoveries):
        return True
    if record.finished and place.seq >= record.end:
        return False
    following, begun = moment(record.times[place.seq + 1]), moment(one.started or "")
    return following is not None and begun is not None and (begun - following).total_seconds() <= SLACK_S


def _fork(other: Record, one: Record, place: _Place | None) -> Problem:
    """``one`` passes over ``other``, which began before it."""
    named = f"names {place.record.run}" if place else "names no run"
    both = bool(other.first and one.first and other.first.prev == one.first.prev)
    text = f"{one.run} {named} as the one before it, and passes over {other.run}"
    text += ", which names the same one: the chain forks. " if both else ". "
    if other.damage:
        return Problem(
            "fork",
            one.run,
            f"{text}That journal could not be read when the later run began.",
            False,
            other.started,
            one.started,
        )
    if other.ended >= (one.started or ""):
        return Problem("fork", one.run, f"{text}The two ran at the same time.", False, other.started, one.started)
    return Problem(
        "fork",
        one.run,
        f"{text}It had ended by then: it was not in this folder when the later one began (taken "
        "away and put back, made elsewhere, or made up), or a clock was set back",
        True,
        other.started,
        one.started,
    )


def _files(found: Sequence[Record], records: Sequence[Record], places: dict[str, _Place]) -> Iterator[Problem]:
    originals = {one.folder: one for one in records}
    for one in found:
        if one.copy_of:
            same = one.sha256 == originals[one.copy_of].sha256
            more = "counted once" if same else "and the two differ"
            yield Problem(
                "copy",
                one.run,
                f"{one.folder} holds a copy of the journal in {one.copy_of}: {more}",
                not same,
                one.started,
                one.started,
            )
        elif one.empty:
            yield _empty(one, records, places)
        elif one.damage:
            yield Problem("damaged", one.run, one.damage, True, one.started, one.started)
        elif one.torn:
            yield Problem(
                "torn",
                one.run,
                f"the last line of {one.folder}/journal.jsonl is torn and left out: power "
                "was lost, "
                "or something was written behind its end",
                False,
                one.started,
                one.started,
            )
        if one.run != one.name:
            yield Problem(
                "moved",
                one.run,
                f"the folder {one.folder} holds the journal of the run {one.run}: journals were "
                "swapped, or a folder was renamed",
                True,
                one.started,
                one.started,
            )
        if not one.damage and one.result is None:
            yield Problem("unjudged", one.run, f"{one.folder}: {one.reason}", True, one.started, one.started)


def _empty(one: Record, records: Sequence[Record], places: dict[str, _Place]) -> Problem:
    """An empty journal: of a run that died before its first word, if the run after it shows that it was empty then."""
    later = next((other for other in records if other.name > one.name and other.first), None)
    place = places.get(later.first.prev or "") if later and later.first else None
    if later and later.first and (later.first.prev is None or place):
        return Problem(
            "empty",
            one.run,
            f"{one.damage}; {later.run} shows that it held none when that run began: it "
            "died before "
            "its first word, and touched nothing",
            False,
            one.started,
            one.started,
        )
    return Problem(
        "empty",
        one.run,
        f"{one.damage}: it died before its first word, or its lines were removed; no later run tells which",
        True,
        one.started,
        one.started,
    )


def _strays(strays: Sequence[Stray]) -> Iterator[Problem]:
    texts = {
        "no-journal": "is the folder of a run or a suite, and holds files but no journal: it was removed",
        "empty-folder": "is the folder of a run or a suite that never began",
        "link": "is a link and was not followed: put the folder itself here if it holds runs",
    }
    for stray in strays:
        at = Record(stray.folder, "", 0).started
        yield Problem(
            stray.kind,
            stray.folder.rpartition("/")[2],
            f"{stray.folder} {texts[stray.kind]}",
            stray.kind == "no-journal",
            at,
            at,
        )


def relevant(problems: Sequence[Problem], period: Period) -> tuple[list[Problem], list[Problem]]:
    """Problems that may concern the period, and the others."""
    inside = [one for one in problems if period.touches(one.first, one.last)]
    return inside, [one for one in problems if one not in inside]


def unanchored(records: Sequence[Record], chain: Chain) -> list[str]:
    """What no later run vouches for: from these journals, lines could be taken away at the end without a trace."""
    found = []
    for one in records:
        if one.damage or one.copy_of:
            continue
        link = chain.links[one.folder]
        rest = len(one.hashes) - link.anchored_events
        if rest and link.anchored_events:
            found.append(f"{one.run}: its last {count(rest, 'event')}, written after {link.anchored_by} began")
        elif rest:
            found.append(f"{one.run}: all {count(rest, 'event')}, since no later run names it")
    return found
