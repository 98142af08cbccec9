"""The chain of all runs. The first event of each journal contains the last hash of the previous run's journal. So the chain
shows whether a run was removed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from drillbook.audit.campaigns import Campaign, ended_heads
from drillbook.audit.period import Period
from drillbook.audit.records import Record, Stray
from drillbook.report.figures import count, moment, utc

SLACK_S = 60.0
"""Longest time, in seconds, from the moment at which a new run reads the last hash of the previous run to the first event
of the new run. The previous run may still write events in this time. These events do not show that somebody changed the
journal of the previous run.
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem of a journal.

    ``breaking`` is true when a journal was changed or removed, or may have been.
    """

    code: str
    run: str
    text: str
    breaking: bool
    first: str | None
    last: str | None
    """Time before which the problem arose, or None if it is unknown. ``first``: time after which the problem arose, or None."""
    source: str = ""
    """Place of the anchors (copies of hashes) that disagree with the journal. It is empty for a problem without an anchor."""
    lost: bool = False
    """True when ``run`` is the run of a drill (not of a suite) whose whole journal is missing. If only the end of its journal
    was cut off, a run is not missing.
    """
    named_by: str = ""
    """The anchor, campaign, suite or later run that names the missing run ``run``. It is empty for any other problem."""


@dataclass(frozen=True, slots=True)
class Link:
    """Position of a run in the chain: the run before it, and the later run or the campaign that recorded a hash of this run's
    journal."""

    before: str
    anchored_events: int
    """Number N of confirmed events: the record ``anchored_by`` contains the hash of event N of this run's journal, and so
    confirms the first N events. The number is 0 if nothing confirms an event.
    """
    anchored_by: str
    """Name of the later run, or of the campaign, that recorded this hash. It is empty if nothing recorded such a hash."""


@dataclass(slots=True)
class Chain:
    """Chain of all runs. Each journal's first event records the last hash of the previous run's journal."""

    links: dict[str, Link] = field(default_factory=dict)
    """Links of the runs. The key of each link is the folder of the run."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Position of a hash: the journal, and the number ``seq`` of the event with this hash."""

    record: Record
    seq: int

    @property
    def head(self) -> bool:
        return self.seq == len(self.record.hashes) - 1


def follow(journals: Sequence[Record], strays: Sequence[Stray], campaigns: Sequence[Campaign] = ()) -> Chain:
    """Build the chain of all journals in ``journals``, and collect the problems of the chain. ``journals`` must be sorted by
    run.

    A run of a campaign does not name the previous run. Just before the run, the campaign records an event in its own journal:
    the intent to start the run. The first event of the run contains the hash of this intent. After the run, the campaign's
    journal records the hash of the run's last event.
    """
    chain = Chain()
    records = [record for record in journals if not record.copy_of]
    places = {value: _Place(record, seq) for record in records for seq, value in enumerate(record.hashes)}
    chain.problems += _files(journals, records, places)
    chain.problems += _strays(strays)
    vouched: dict[str, tuple[int, str]] = {}
    said: dict[str, str] = {}
    intents = {value: campaign.name for campaign in campaigns for value in campaign.hashes}
    numbers = {record.folder: number for number, record in enumerate(records)}
    members = {
        record.folder: intents[record.first.prev] for record in records if record.first and record.first.prev in intents
    }
    for number, record in enumerate(records):
        if record.first is None:
            said[record.folder] = "unknown: the first line of the run's journal cannot be trusted"
            continue
        if record.folder in members:
            said[record.folder] = f"the intent of the run's site in the campaign {members[record.folder]}"
            continue
        place = places.get(record.first.prev) if record.first.prev else None
        said[record.folder] = _before(record, place)
        if place and place.seq + 1 > vouched.get(place.record.folder, (0, ""))[0]:
            vouched[place.record.folder] = (place.seq + 1, record.run)
        start = numbers[place.record.folder] + 1 if place else 0
        chain.problems += _link_problems(records[:number], record, place, start, members)
    chain.problems += _campaigns(campaigns, places, vouched, {record.run for record in records})
    for record in records:
        events, by = vouched.get(record.folder, (0, ""))
        chain.links[record.folder] = Link(said[record.folder], events, by)
    return chain


def _campaigns(
    campaigns: Sequence[Campaign],
    places: Mapping[str, _Place],
    vouched: dict[str, tuple[int, str]],
    there: Container[str],
) -> Iterator[Problem]:
    """Return the problems of campaigns. A campaign records the hash of the last event of each of its runs.

    ``vouched``: one entry for each confirmed run, with the folder of the run as the key. The entry contains two values: how
    many events at the beginning of the run's journal are confirmed, and the name of the later run or of the campaign that
    confirms them. The function adds the runs that campaigns confirm. ``there``: names of all runs that have a journal.
    """
    for campaign in campaigns:
        at = campaign.started
        if campaign.damage:
            yield Problem("campaign-damaged", campaign.name, campaign.damage, True, at, at)
        elif not campaign.finished:
            text = f"the campaign {campaign.name} has no recorded end: it is still running, or it can be resumed"
            yield Problem("campaign-unfinished", campaign.name, text, False, at, at)
    for campaign, run, head in ended_heads(campaigns):
        if (place := places.get(head)) is None:
            yield _unconfirmed(campaign, run, head, there)
        elif place.seq + 1 > vouched.get(place.record.folder, (0, ""))[0]:
            vouched[place.record.folder] = (place.seq + 1, f"the campaign {campaign.name}")


def _unconfirmed(campaign: Campaign, run: str, head: str, there: Container[str]) -> Problem:
    """Return the problem of a run whose last event is in no journal, although a campaign recorded the hash of this event.

    ``head``: this hash. ``run``: name of the run. In a campaign of a suite, it is the name of the suite's run, because the name
    of the drill's run is unknown.
    """
    named_by = f"the campaign {campaign.name}"
    if campaign.suite:
        text = (
            f"{named_by} recorded {head} as the last event of a run of the suite {run}, but no journal contains this event: "
            "the run is missing, or the end of its journal was cut off"
        )
    elif run in there:
        text = (
            f"{named_by} recorded {head} as the last event of the run {run}, but the journal of this run does not contain this "
            "event: the end of the journal was cut off, or another journal replaced it"
        )
        return Problem("campaign-run", run, text, True, campaign.started, campaign.started)
    else:
        text = f"{named_by} recorded {head} as the last event of the run {run}, but this run is missing"
    lost = not campaign.suite
    return Problem("campaign-run", run, text, True, campaign.started, campaign.started, lost=lost, named_by=named_by)


def _before(record: Record, place: _Place | None) -> str:
    if record.first is None or record.first.prev is None:
        return "none: its journal names no earlier run"
    if place is None:
        return (
            "unknown: no journal contains the hash that this run names; the previous run is missing, or the end of its journal "
            "was cut off"
        )
    if place.record.damage:
        return f"{place.record.run}, whose journal is now damaged"
    if place.head:
        return place.record.run
    recovered = any(resumed.seq == place.seq + 1 for resumed in place.record.recoveries)
    why = "that run was recovered later" if recovered else "that run was still in progress"
    return f"{place.record.run}, at line {place.seq + 1} of its journal: {why}"


def _link_problems(
    earlier: Sequence[Record], record: Record, place: _Place | None, start: int, members: Container[str]
) -> Iterator[Problem]:
    """Return the problems of the link from the run ``record`` to its previous run.

    ``earlier``: all older runs, oldest first. ``place``: an event and its journal. The run ``record`` contains the hash of
    this event, as the last event of its previous run. ``place`` is None if ``record`` contains no such hash, or if no journal
    contains an event with this hash. ``start``: index in ``earlier`` of the first run after the previous run; 0 when ``place``
    is None. ``members``: folders of the runs of campaigns. Such runs are not reported as skipped. They may arrive late from
    other machines, and the journal of their campaign shows that they exist.
    """
    before = earlier[-1] if earlier else None
    if record.first and record.first.prev and place is None:
        yield _missing(before, record)
        return
    if place and start > len(earlier):
        yield Problem(
            "forward",
            record.run,
            f"{record.run} names {place.record.run} as the previous run, but that run began later: a clock was set back, or "
            "a folder was renamed",
            True,
            record.started,
            place.record.started,
        )
        return
    if place and not place.record.damage and not place.head and not _plausible(record, place):
        yield Problem(
            "grown",
            place.record.run,
            f"the journal of {place.record.run} ended with line {place.seq + 1} when {record.run} began, but now contains "
            f"{len(place.record.hashes)} lines, and no recovery wrote the added lines",
            True,
            place.record.started,
            record.started,
        )
    for other in earlier[start:]:
        if not other.empty and other.folder not in members:
            yield _fork(other, record, place)


def _missing(before: Record | None, record: Record) -> Problem:
    head = record.first.prev if record.first else ""
    text = (
        f"{record.run} (begun {utc(record.started)}) names {head} as the last hash of the previous run, but no journal "
        "contains this hash: "
    )
    if before is None:
        text += "the earlier runs are not in this folder"
    else:
        text += f"a run after {before.run} is missing, or the end of the journal of {before.run} was cut off"
        text += "" if before.finished else " (that journal contains no end of the run)"
    since = before.started if before else None
    return Problem("missing-run", record.run, text, True, since, record.started, named_by=f"the run {record.run}")


def _plausible(later: Record, place: _Place) -> bool:
    """Return True when the events after ``place`` in its journal are no sign of tampering.

    This is so if a recovery wrote these events, or if the run ``later`` began before they were written.
    """
    record = place.record
    if any(resumed.seq == place.seq + 1 for resumed in record.recoveries):
        return True
    if record.finished and place.seq >= record.end:
        return False
    following, begun = moment(record.times[place.seq + 1]), moment(later.started or "")
    return following is not None and begun is not None and (begun - following).total_seconds() <= SLACK_S


def _fork(other: Record, record: Record, place: _Place | None) -> Problem:
    """Describe a fork of the chain.

    The run ``record`` began after the run ``other``, but records an older run as its previous run.
    """
    named = f"names {place.record.run}" if place else "names no run"
    both = bool(other.first and record.first and other.first.prev == record.first.prev)
    text = f"{record.run} {named} as the previous run, and skips {other.run}"
    text += ", which names the same previous run: the chain forks. " if both else ". "
    if other.damage:
        return Problem(
            "fork",
            record.run,
            f"{text}The journal of {other.run} could not be read when {record.run} began.",
            False,
            other.started,
            record.started,
        )
    if other.ended >= (record.started or ""):
        return Problem(
            "fork", record.run, f"{text}Both runs were in progress at the same time.", False, other.started, record.started
        )
    return Problem(
        "fork",
        record.run,
        f"{text}The skipped run had already ended when the later run began. So the folder of the skipped run was missing at "
        "that time (it was removed and restored, made elsewhere, or forged), or a clock was set back",
        True,
        other.started,
        record.started,
    )


def _files(journals: Sequence[Record], records: Sequence[Record], places: dict[str, _Place]) -> Iterator[Problem]:
    """Return the problems inside each journal, such as damage. The links between journals are not examined."""
    originals = {record.folder: record for record in records}
    for record in journals:
        if record.copy_of:
            same = record.sha256 == originals[record.copy_of].sha256
            more = "counted once" if same else "and the two differ"
            text = f"{record.folder} contains a copy of the journal in {record.copy_of}: {more}"
            yield _problem("copy", record, text, breaking=not same)
        elif record.empty:
            yield _empty(record, records, places)
        elif record.damage:
            yield _problem("damaged", record, record.damage)
        elif record.torn:
            why = "power was lost, or data was added after the end of the journal"
            text = f"the last line of {record.folder}/journal.jsonl is incomplete and ignored: {why}"
            yield _problem("torn", record, text, breaking=False)
        if record.run != record.name:
            text = (
                f"the folder {record.folder} contains the journal of the run {record.run}: journals were swapped, or a folder "
                "was renamed"
            )
            yield _problem("moved", record, text)
        if not record.damage and record.result is None and not record.in_progress:
            yield _problem("unjudged", record, f"{record.folder}: {record.reason}")


def _problem(code: str, record: Record, text: str, *, breaking: bool = True) -> Problem:
    """Make a problem of one journal. Its date is the start of the run."""
    return Problem(code, record.run, text, breaking, record.started, record.started)


def _empty(record: Record, records: Sequence[Record], places: dict[str, _Place]) -> Problem:
    """Describe an empty journal as a problem.

    The problem is harmless if the run died before its first event. The next run shows this: its first event names no event, or
    an event of a third run. So the empty journal was already empty when the next run began.
    """
    later = next((other for other in records if other.name > record.name and other.first), None)
    place = places.get(later.first.prev or "") if later and later.first else None
    if later and later.first and (later.first.prev is None or place):
        return Problem(
            "empty",
            record.run,
            f"{record.damage}; {later.run} shows that the journal was empty when {later.run} began: the run died "
            "before its first event, and changed nothing",
            False,
            record.started,
            record.started,
        )
    return Problem(
        "empty",
        record.run,
        f"{record.damage}: the run died before its first event, or lines of the journal were removed; no later run "
        "shows which of the two happened",
        True,
        record.started,
        record.started,
    )


def _strays(strays: Sequence[Stray]) -> Iterator[Problem]:
    texts = {
        "no-journal": "is the folder of a run or a suite that has files but no journal: the journal was removed",
        "empty-folder": "is the folder of a run or a suite that never began",
        "link": "is a link and was not followed; if the linked folder contains runs, move the folder itself here",
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
    """Split problems into two lists: the problems that may have arisen in the period, and all others."""
    inside: list[Problem] = []
    outside: list[Problem] = []
    for problem in problems:
        (inside if period.touches(problem.first, problem.last) else outside).append(problem)
    return inside, outside


def unanchored(records: Sequence[Record], chain: Chain, anchored: Mapping[str, tuple[int, str]]) -> list[str]:
    """Return a line for each journal whose last events are unconfirmed: neither a later run, nor a campaign, nor an anchor
    confirms these events. Their removal can go unnoticed.

    ``anchored``: for each run with an anchor, the number of events that the anchor confirms, and words that name the anchor.
    """
    lines = []
    for record in records:
        if record.damage or record.copy_of:
            continue
        link = chain.links[record.folder]
        by = link.anchored_by
        by = f"{by} recorded the end of the run" if by.startswith("the campaign ") else f"the run {by} began"
        events, since = max((link.anchored_events, by), anchored.get(record.run, (0, "")))
        rest = len(record.hashes) - events
        if rest and events:
            lines.append(f"{record.run}: its last {count(rest, 'event')}, written after {since}")
        elif rest:
            why = "neither a later run nor an anchor confirms" if anchored else "no later run names"
            lines.append(f"{record.run}: all {count(rest, 'event')}, because {why} this journal")
    return lines
