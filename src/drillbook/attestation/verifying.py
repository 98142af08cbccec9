"""Verifying what a run left: the chain of its journal, who signed it, every file, and its reports rendered again.

Each check has one of three outcomes: it holds, it is wrong, or it could not be shown. What could not be shown never
counts as verified.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillbook.attestation import format as form
from drillbook.attestation import statement, vouching
from drillbook.attestation.format import Statement
from drillbook.attestation.lines import Walk, walk
from drillbook.attestation.vouching import Attested, State
from drillbook.events.event import readable
from drillbook.events.holds import LeaseLog
from drillbook.events.runs import Ended, RecoveryStarted, RunStarted
from drillbook.exits import Exit
from drillbook.journal import damaged
from drillbook.journal.journal import FILE, History
from drillbook.judge.judge import judge
from drillbook.judge.result import RunView, SuiteResult
from drillbook.plan.plan import digest_of
from drillbook.report import formats
from drillbook.report.figures import count, one_line
from drillbook.report.folders import alive

MOST_NAMES = 3


class Mark(IntEnum):
    """The outcome of a check, from best to worst."""

    GOOD = 0
    UNKNOWN = 1
    WRONG = 2


EXIT = {Mark.GOOD: Exit.OK, Mark.UNKNOWN: Exit.UNVERIFIED, Mark.WRONG: Exit.FAILED}


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was looked at, its outcome, and what is to be said of it."""

    what: str
    mark: Mark
    said: str


@dataclass(frozen=True, slots=True)
class Verified:
    """All checks of one folder; ``inner`` are those of the drills of a suite."""

    name: str
    checks: tuple[Check, ...]
    inner: tuple[Verified, ...] = ()

    @property
    def mark(self) -> Mark:
        """The worst outcome."""
        return max([*(one.mark for one in self.checks), *(one.mark for one in self.inner)])


def verify(folder: Path, root: Path) -> Verified:
    """Verify the folder of a run, or of a suite with every run in it."""
    if (folder / FILE).exists() or not (damaged.is_suite(folder) or damaged.drills_in(folder)):
        return _run(folder, root)
    return _suite(folder, root)


def _run(folder: Path, root: Path) -> Verified:
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return _without_journal(folder, root)
    except OSError as error:
        return Verified(folder.name, (Check("journal", Mark.UNKNOWN, f"cannot be read: {error.strerror}"),))
    found, attested = walk(data), vouching.look(folder, root)
    sealed, view = attested.statement, _judged(found)
    checks = [_journal(found, folder), _ending(found, folder), *_signed(attested)]
    if sealed is not None:
        checks += [_head(found, sealed), *_gaps(sealed), _attested_files(folder, sealed, view)]
    checks.append(_evidence(folder, found))
    if found.line or not found.events:
        checks.append(Check("reports", Mark.UNKNOWN, "not rendered again, since the journal is damaged"))
    else:
        checks += [_says(folder, found, sealed), _reports(folder, view, sealed)]
    return Verified(folder.name, tuple(checks))


def _without_journal(folder: Path, root: Path) -> Verified:
    """A run whose journal was taken away: all that is left to check is what was signed."""
    attested = vouching.look(folder, root)
    checks = [Check("journal", Mark.WRONG, damaged.lost(folder)), *_signed(attested)]
    return Verified(folder.name, (*checks, *([_attested_files(folder, attested.statement)] if attested.statement else [])))


def _journal(found: Walk, folder: Path) -> Check:
    if found.line and (gone := damaged.lost(folder)):
        return Check("journal", Mark.WRONG, gone)
    if found.line and not found.lines:
        return Check(
            "journal",
            Mark.UNKNOWN,
            "it holds no event: its controller died before its first word, or its lines were removed",
        )
    if found.line:
        return Check("journal", Mark.WRONG, found.wrong)
    what = f"{count(len(found.events), 'event')}, every line continues the one before it"
    if found.torn:
        return Check(
            "journal",
            Mark.UNKNOWN,
            f"{what}; the last line, {found.lines + 1}, is torn: power was lost while it was written, or it was changed",
        )
    return Check("journal", Mark.GOOD, what)


def _ending(found: Walk, folder: Path) -> Check:
    if any(isinstance(readable(event), Ended) for event in found.events):
        return Check("ending", Mark.GOOD, "the run wrote its last word")
    if found.line:
        return Check("ending", Mark.UNKNOWN, "not known, since the journal is damaged")
    if alive(folder):
        return Check("ending", Mark.UNKNOWN, "the run is still going on")
    return Check(
        "ending",
        Mark.UNKNOWN,
        f"the run has no ending: its controller died; put back what it left: invoke drill.recover {folder.name}",
    )


MARKS = {State.VOUCHED: Mark.GOOD, State.UNREADABLE: Mark.WRONG, State.UNFIT: Mark.WRONG, State.FORBIDDEN: Mark.WRONG}
"""Outcomes of signatures; every other state is unknown."""


def _signed(attested: Attested) -> Iterator[Check]:
    """Is there an attestation, does its signature fit, who made it, and was that when the run ended?"""
    yield Check("signature", MARKS.get(attested.state, Mark.UNKNOWN), attested.said)
    sealed = attested.statement
    if sealed is not None and not statement.sealed_at_end(sealed):
        yield Check(
            "sealed",
            Mark.UNKNOWN,
            f"no signature was made when the run ended, only at {sealed.get('at')} by "
            f"{sealed.get('attested_by')}: what was done to the journal before is not known"
            if sealed.get("key")
            else "no signature was made when the run ended",
        )


def _head(found: Walk, sealed: Statement) -> Check:
    """Does the journal hold just what was signed: so many lines, and the last of them this one?"""
    events, head = sealed.get("events"), str(sealed.get("head"))
    if not isinstance(events, int) or events < 1:
        return Check("end", Mark.WRONG, "the attestation does not say how long the journal was")
    signed = f"{count(events, 'event')} were signed, {count(found.lines, 'line')} are there"
    if found.lines < events and not found.line:
        return Check("end", Mark.WRONG, f"{signed}: the tail was cut, from line {found.lines + 1} on")
    if len(found.events) < events:
        mark = Mark.UNKNOWN if found.lines == events else Mark.WRONG
        return Check("end", mark, f"{signed}; the journal is damaged before its end")
    if found.hashes[events - 1] != head:
        return Check("end", Mark.WRONG, f"event {events - 1} is not the one that was signed: the journal was written anew")
    return _behind(found, events, sealed)


def _behind(found: Walk, events: int, sealed: Statement) -> Check:
    """What stands behind the last event that was signed?"""
    if found.lines == events:
        head = str(sealed.get("head"))
        return Check("end", Mark.GOOD, f"the journal ends where it was signed: event {events - 1}, {head[:19]}...")
    more = f"{count(found.lines - events, 'line')} behind the signed end, from line {events + 1} on"
    if sealed.get("occasion") in form.CHECKPOINTS:
        return Check(
            "end",
            Mark.UNKNOWN,
            f"the run signed itself up to event {events - 1} while it went on; {more}, for which nobody vouches",
        )
    if len(found.events) > events and isinstance(readable(found.events[events]), RecoveryStarted):
        return Check("end", Mark.UNKNOWN, f"{more}: a recovery went on, and what it wrote is not signed")
    return Check("end", Mark.WRONG, f"{more}: they were added")


def _gaps(sealed: Statement) -> Iterator[Check]:
    """Name what the attestation itself says that nobody vouches for."""
    gaps, loose = sealed.get("unvouched") or [], sealed.get("unvouched_files") or []
    if gaps:
        spans = ", ".join(f"{first} to {last}" for first, last in gaps)
        yield Check(
            "vouched",
            Mark.UNKNOWN,
            f"nobody vouches for the events {spans}: they were written by somebody who did "
            "not come to sign them, and a recovery found them there",
        )
    if loose:
        yield Check("vouched", Mark.UNKNOWN, f"nobody vouches for files that a recovery found there: {_names(loose)}")


def _attested_files(folder: Path, sealed: Statement, view: RunView | str = "") -> Check:
    """Are the files those that were attested? Reports may have been rendered again, from the same journal, since."""
    known = dict(form.signed_names(sealed))
    there = {path.relative_to(folder).as_posix(): path for path in form.files_in(folder)}
    changed = [name for name, wanted in known.items() if name in there and _digest(there[name]) != wanted]
    again = formats.of_run(view) if changed and isinstance(view, RunView) else {}
    anew = [name for name in changed if name in again and _text(there[name]) == again[name].encode()]
    changed = [name for name in changed if name not in anew]
    gone = [name for name in known if name not in there]
    added = [name for name in there if name not in known]
    wrong = [*([f"changed: {_names(changed)}"] if changed else []), *([f"missing: {_names(gone)}"] if gone else [])]
    if wrong:
        return Check("files", Mark.WRONG, "; ".join(wrong))
    if added or anew:
        said = [f"not attested, added later: {_names(added)}"] if added else []
        said += [f"rendered again and not signed since: {_names(anew)}"] if anew else []
        return Check("files", Mark.UNKNOWN, "; ".join(said))
    return Check("files", Mark.GOOD, f"{count(len(known), 'file')} as attested")


def _evidence(folder: Path, found: Walk) -> Check:
    """Every file that the journal itself holds the digest of."""
    told = map(readable, found.events)
    facts = [what.data() if isinstance(what, LeaseLog) else what.data().get("facts") for what in told]
    named = {(name, f"sha256:{wanted.removeprefix('sha256:')}") for one in facts for name, wanted in _kept(one)}
    wrong = sorted(name for name, wanted in named if not _inside(folder, name) or _digest(folder / name) != wanted)
    if wrong:
        return Check("evidence", Mark.WRONG, f"not what the journal says, or missing: {_names(wrong)}")
    if found.line:
        return Check("evidence", Mark.UNKNOWN, "not all of it is known, since the journal is damaged")
    return Check(
        "evidence", Mark.GOOD, f"{count(len(named), 'file')} as the journal says" if named else "the journal names none"
    )


def _kept(value: Any) -> Iterator[tuple[str, str]]:
    """Name and digest of every evidence file in some facts."""
    if isinstance(value, dict):
        name, wanted = value.get("file"), value.get("sha256")
        if isinstance(name, str) and isinstance(wanted, str) and name.startswith("evidence/"):
            yield name, wanted
        for item in value.values():
            yield from _kept(item)
    elif isinstance(value, list):
        for item in value:
            yield from _kept(item)


def _inside(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())


def _digest(path: Path) -> str:
    try:
        known = form.file_digest(path)
    except OSError:
        return ""
    return known


def _says(folder: Path, found: Walk, sealed: Statement | None) -> Check:
    """Do the folder, the plan's digest and the attestation say the same as the journal's first event?"""
    first = readable(found.events[0])
    if not isinstance(first, RunStarted):
        return Check("identity", Mark.WRONG, "its first event does not say which run it is of, and what was planned")
    run = first.run
    if run != folder.name:
        return Check("identity", Mark.WRONG, f"the folder {folder.name} holds the journal of the run {run}")
    if digest_of(first.plan) != first.plan_digest:
        return Check("identity", Mark.WRONG, "the digest of the plan does not fit the plan")
    wanted = {"run": run, "plan_digest": first.plan_digest, "previous_head": found.events[0].prev}
    odd = [key for key, value in wanted.items() if sealed is not None and sealed.get(key) != value]
    if odd:
        return Check("identity", Mark.WRONG, f"the attestation says something else: {', '.join(odd)}")
    return Check("identity", Mark.GOOD, f"run {run}, plan {first.plan_digest[:19]}...")


def _judged(found: Walk) -> RunView | str:
    """The run as the judge sees it, or why it cannot be judged."""
    try:
        return judge(History(found.events, found.torn))
    except Exception as error:  # noqa: BLE001  written by another version: it cannot be shown, and that is said
        return f"{type(error).__name__}: {error}"


def _reports(folder: Path, view: RunView | str, sealed: Statement | None) -> Check:
    if isinstance(view, str):
        return Check("reports", Mark.UNKNOWN, f"the journal could not be judged: {view}")
    said: dict[str, object] = {"drill": view.result.drill, "environment": view.result.environment}
    if sealed is not None and sealed.get("occasion") not in form.CHECKPOINTS:
        said |= {"verdict": str(view.result.verdict), "exit": view.result.exit}
    if odd := [key for key, value in said.items() if sealed is not None and sealed.get(key) != value]:
        return Check("reports", Mark.WRONG, f"the journal gives another {', '.join(odd)} than the attestation says")
    return _compared(folder, formats.of_run(view), sealed)


def _compared(folder: Path, wanted: dict[str, str], sealed: Statement | None) -> Check:
    missing = [name for name in wanted if not (folder / name).is_file()]
    other = [name for name, text in wanted.items() if name not in missing and _text(folder / name) != text.encode()]
    tool = sealed.get("tool") if sealed else None
    if other and tool not in (None, statement.TOOL):
        return Check(
            "reports", Mark.UNKNOWN, f"rendered by {tool}, this is {statement.TOOL}: {_names(other)} cannot be compared"
        )
    if other:
        return Check("reports", Mark.WRONG, f"not what the journal gives: {_names(other)}")
    if missing:
        return Check("reports", Mark.UNKNOWN, f"not there: {_names(missing)}; make them: invoke report {folder.name}")
    return Check("reports", Mark.GOOD, f"{count(len(wanted), 'file')}, rendered again byte for byte")


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _suite(folder: Path, root: Path) -> Verified:
    inner = tuple(_run(one, root) for one in damaged.drills_in(folder))
    attested = vouching.look(folder, root)
    sealed = attested.statement
    checks = [*_signed(attested)]
    if sealed is not None:
        checks += [_members(folder, sealed), _attested_files(folder, sealed)]
    checks.append(_suite_reports(folder, sealed))
    return Verified(folder.name, tuple(checks), inner)


def _members(folder: Path, sealed: Statement) -> Check:
    """Are the drills of a suite those that were attested, each with its own attestation?"""
    runs = [run for run in sealed.get("runs") or () if isinstance(run, dict)]
    known = {str(run.get("folder")): run for run in runs}
    there = {path.parent.name for path in folder.glob(f"[!.]*/{FILE}")}
    if gone := sorted(set(known) - there):
        return Check("drills", Mark.WRONG, f"missing: {_names(gone)}")
    if added := sorted(there - set(known)):
        return Check("drills", Mark.WRONG, f"not attested: {_names(added)}")
    other = sorted(
        name for name, run in known.items() if _digest(folder / name / form.FILE) != (run.get("attestation") or "")
    )
    if other:
        return Check("drills", Mark.WRONG, f"their attestation is not the one that the suite names: {_names(other)}")
    return Check("drills", Mark.GOOD, f"{count(len(known), 'drill')} as attested")


def _suite_reports(folder: Path, sealed: Statement | None) -> Check:
    try:
        suite = SuiteResult.model_validate(json.loads((folder / "result.json").read_bytes()))
    except FileNotFoundError:
        return Check("ending", Mark.UNKNOWN, "the suite has no ending: its controller died; see invoke drill.list")
    except (OSError, ValueError):
        return Check("reports", Mark.WRONG, "result.json cannot be read: it was changed")
    try:
        walks = [walk((folder / str(run["folder"]) / FILE).read_bytes()) for run in suite.runs]
        views = [judge(History(one.events, one.torn)) for one in walks if not one.line]
    except Exception as error:  # noqa: BLE001  a drill's own checks say what is wrong with it
        return Check("reports", Mark.UNKNOWN, f"not rendered again: {type(error).__name__}")
    if len(views) < len(suite.runs):
        return Check("reports", Mark.UNKNOWN, "not rendered again, since a journal is damaged")
    odd = [
        view.result.drill
        for view, run in zip(views, suite.runs, strict=True)
        if (str(view.result.verdict), view.result.exit) != (str(run.get("verdict")), run.get("exit"))
    ]
    if odd:
        return Check("reports", Mark.WRONG, f"the suite gives another verdict than the journal: {_names(odd)}")
    rendered = formats.of_suite(suite, views)
    return _compared(folder, {name: text for name, text in rendered.items() if name != formats.RESULT}, sealed)


SHAPES = {Mark.GOOD: ("✓", "green"), Mark.UNKNOWN: ("?", "yellow"), Mark.WRONG: ("✕", "bold red")}
CLOSING = {
    Mark.GOOD: "verified: all of it is as it was signed",
    Mark.UNKNOWN: "not verified: what is marked ? could not be shown",
    Mark.WRONG: "WRONG: what is marked ✕ is not as it was",
}


def show(found: Verified, out: Console) -> None:
    """Print every check; of a suite's drills only those that do not hold."""
    out.print(Text(found.name, style="bold"), soft_wrap=True)
    for one in found.inner:
        mark, style = SHAPES[one.mark]
        out.print(
            Text.assemble(f"  {mark} ", (f"{one.name}  {count(len(one.checks), 'check')}", "")), style=style, soft_wrap=True
        )
        _table([check for check in one.checks if check.mark is not Mark.GOOD], out, 6)
    _table(found.checks, out, 2)
    mark, style = SHAPES[found.mark]
    out.print(Text(f"{mark} {CLOSING[found.mark]}", style=style))


def _table(checks: Sequence[Check], out: Console, indent: int) -> None:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        mark, style = SHAPES[check.mark]
        table.add_row(Text(mark, style=style), Text(check.what.ljust(9)), Text(one_line(check.said)))
    if checks:
        out.print(Padding(table, (0, 0, 0, indent), expand=False))
