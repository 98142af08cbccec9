"""Verification of a run's folder: hash chain of the journal, signature, files, and reports.

The journal and the result of a run are read only once. All checks use the same bytes: the check of the hash chain, the check of
the signature, the verdict, the rendering, and the comparison with anchors. Reports are verified by rendering them again. Each
check has one of three outcomes: good, wrong, or unknown. A check with the outcome unknown never counts as verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from drillbook.attestation import format as form
from drillbook.attestation import older_reports, sign_runs, signature_check
from drillbook.attestation.format import Statement
from drillbook.attestation.signature_check import Attested, State
from drillbook.attestation.trusted_content import names
from drillbook.events.event import readable
from drillbook.events.holds import LeaseLog
from drillbook.events.runs import Ended, RecoveryStarted, RunFinished, RunStarted
from drillbook.exits import Exit
from drillbook.journal import damaged
from drillbook.journal.journal import FILE, History
from drillbook.journal.lines import Walk
from drillbook.journal.run_files import RESULT
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.judge import judge
from drillbook.judge.result import RunView, SuiteResult
from drillbook.plan.plan import digest_of
from drillbook.report import formats
from drillbook.report.figures import count


class Mark(IntEnum):
    """Outcome of a check. The values are ordered from the best to the worst."""

    GOOD = 0
    UNKNOWN = 1
    WRONG = 2


RECOVER = "invoke drill.recover {}"
EXIT = {Mark.GOOD: Exit.OK, Mark.UNKNOWN: Exit.UNVERIFIED, Mark.WRONG: Exit.FAILED}


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check: its subject, its outcome, and a sentence about the outcome."""

    what: str
    mark: Mark
    said: str
    next: str = ""
    """Command that is the next step. It is empty when no command helps."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Results of all checks of one folder. For a suite, ``inner`` contains the results of its drills."""

    name: str
    checks: tuple[Check, ...]
    inner: tuple[Verified, ...] = ()

    @property
    def mark(self) -> Mark:
        """Worst outcome of all checks. The checks of the drills are included."""
        return max([*(check.mark for check in self.checks), *(drill.mark for drill in self.inner)])


def verify(folder: Path, root: Path, runs: RunStates) -> Verified:
    """Verify the folder of a run, or of a suite with all its runs. ``runs``: states of all runs that this task reads."""
    if (folder / FILE).exists() or not (damaged.is_suite(folder) or damaged.drills_in(folder)):
        return _run(runs.of(folder), root)
    return _suite(folder, root, runs)


def verify_campaign(folder: Path, record: Path, root: Path) -> Verified:
    """Verify a campaign's attestation in ``folder`` and its journal in ``record``, but not the runs of the campaign."""
    whole, state = RunState(folder), RunState(record)
    if error := state.unreadable:
        return _unreadable(folder, error)
    attested, journal = signature_check.look(whole, root), state.walk
    checks = [_journal(state), *_signed(attested)]
    if (sealed := attested.statement) is not None:
        checks += [_head(journal, sealed), *_gaps(sealed), _attested_files(whole, sealed)]
    return Verified(folder.name, tuple(checks))


def _unreadable(folder: Path, error: OSError) -> Verified:
    return Verified(folder.name, (Check("journal", Mark.UNKNOWN, f"cannot be read: {error.strerror}"),))


def _run(state: RunState, root: Path) -> Verified:
    folder, attested = state.folder, signature_check.look(state, root)
    if isinstance(state.unreadable, FileNotFoundError):
        return _without_journal(state, attested)
    if state.unreadable:
        return _unreadable(folder, state.unreadable)
    journal, sealed, view = state.walk, attested.statement, _judged(state.walk)
    checks = [_journal(state), _ending(state), *_signed(attested)]
    if sealed is not None:
        checks += [_head(journal, sealed), *_gaps(sealed), _attested_files(state, sealed, view)]
    checks.append(_evidence(state))
    if journal.line or not journal.events:
        checks.append(Check("reports", Mark.UNKNOWN, "the files were not rendered again, because the journal is damaged"))
    else:
        checks += [_says(folder, journal, sealed), _reports(state, view, sealed)]
    return Verified(folder.name, tuple(checks))


def _without_journal(state: RunState, attested: Attested) -> Verified:
    """Verify a run whose journal was removed. Only its signed files can be checked."""
    checks = [Check("journal", Mark.WRONG, state.lost), *_signed(attested)]
    checks += [_attested_files(state, attested.statement)] if attested.statement else []
    return Verified(state.folder.name, tuple(checks))


def _journal(state: RunState) -> Check:
    journal = state.walk
    if journal.line and (gone := state.lost):
        return Check("journal", Mark.WRONG, gone)
    if journal.line and not journal.lines:
        died = "the controller of the run died before the first event, or the lines of the journal were removed"
        return Check("journal", Mark.UNKNOWN, f"the journal contains no event: {died}", RECOVER.format(state.folder.name))
    if journal.line:
        return Check("journal", Mark.WRONG, journal.wrong)
    what = f"{count(len(journal.events), 'event')}; every line continues the previous line"
    if journal.torn:
        return Check(
            "journal",
            Mark.UNKNOWN,
            (
                f"{what}; the last line, {journal.lines + 1}, is incomplete: power was lost while the line was "
                "written, or the line was changed"
            ),
        )
    return Check("journal", Mark.GOOD, what)


def _ending(state: RunState) -> Check:
    ends = {type(what) for event in state.walk.events if isinstance(what := readable(event), Ended)}
    if RunFinished in ends:
        return Check("ending", Mark.GOOD, "the journal contains the end of the run")
    if ends:
        return Check("ending", Mark.GOOD, "the controller of the run died; a recovery ended the journal later")
    if state.walk.line:
        return Check("ending", Mark.UNKNOWN, "it is unknown if the run ended, because the journal is damaged")
    if state.alive:
        return Check("ending", Mark.UNKNOWN, "the run is still in progress")
    said = "the run did not end: its controller died, so perhaps not all its changes are undone"
    return Check("ending", Mark.UNKNOWN, said, RECOVER.format(state.folder.name))


MARKS = {State.VOUCHED: Mark.GOOD, State.UNREADABLE: Mark.WRONG, State.UNFIT: Mark.WRONG, State.FORBIDDEN: Mark.WRONG}
"""Outcome of the signature check for each state of the signature. Any other state has the outcome ``UNKNOWN``."""


def _signed(attested: Attested) -> Iterator[Check]:
    """Check the signature of the attestation. Check also that the run was signed at its end."""
    yield Check("signature", MARKS.get(attested.state, Mark.UNKNOWN), attested.said)
    sealed = attested.statement
    if sealed is not None and not sign_runs.sealed_at_end(sealed):
        yield Check(
            "sealed",
            Mark.UNKNOWN,
            f"no signature was made when the run ended, only at {sealed.get('at')} by {sealed.get('attested_by')}: "
            "the journal may have been changed before that time"
            if sealed.get("key")
            else "no signature was made when the run ended",
        )


def _head(journal: Walk, sealed: Statement) -> Check:
    """Check that the journal still contains the last signed event, unchanged, and that no event follows it."""
    events, head = sealed.get("events"), str(sealed.get("head"))
    if not isinstance(events, int) or events < 1:
        return Check("end", Mark.WRONG, "the attestation does not state the length of the journal")
    signed = f"{count(events, 'event')} were signed, {count(journal.lines, 'line')} exist"
    if journal.lines < events and not journal.line:
        return Check("end", Mark.WRONG, f"{signed}: the end was cut off, from line {journal.lines + 1} on")
    if len(journal.events) < events:
        mark = Mark.UNKNOWN if journal.lines == events else Mark.WRONG
        return Check("end", mark, f"{signed}; the journal is damaged before its end")
    if journal.hashes[events - 1] != head:
        return Check("end", Mark.WRONG, f"line {events} differs from the signed line: the journal was rewritten")
    return _behind(journal, events, sealed)


def _behind(journal: Walk, events: int, sealed: Statement) -> Check:
    """Check that the journal has no lines after the last signed event. ``events``: number of signed events."""
    if journal.lines == events:
        last = f"number {events} of {journal.lines}: {str(sealed.get('head'))[:19]}..."
        return Check("end", Mark.GOOD, f"the journal ends with the last signed event, {last}")
    more = f"{count(journal.lines - events, 'line')}, from line {events + 1} on"
    if sealed.get("occasion") in form.CHECKPOINTS:
        return Check(
            "end",
            Mark.UNKNOWN,
            f"the run signed its journal up to line {events} while the run was in progress; no trusted signature covers "
            f"the lines after this line: {more}",
        )
    if len(journal.events) > events and isinstance(readable(journal.events[events]), RecoveryStarted):
        return Check("end", Mark.UNKNOWN, f"a recovery added lines after the last signed event without signing them: {more}")
    return Check("end", Mark.WRONG, f"somebody added lines after the last signed event: {more}")


def _gaps(sealed: Statement) -> Iterator[Check]:
    """Report the events and files that the attestation itself lists as unsigned."""
    gaps, loose = sealed.get("unvouched") or [], sealed.get("unvouched_files") or []
    if gaps:
        spans = form.line_ranges(gaps)
        said = (
            f"the lines {spans} of the journal have no trusted signature: the process that wrote them died before it signed "
            "them, and a recovery found them"
        )
        mark = Mark.UNKNOWN if spans else Mark.WRONG
        yield Check("vouched", mark, said if spans else "the attestation does not state which events are unsigned")
    if loose:
        yield Check("vouched", Mark.UNKNOWN, f"files that a recovery found have no trusted signature: {names(loose)}")


def _attested_files(state: RunState, sealed: Statement, view: RunView | str = "") -> Check:
    """Compare the files with the attestation. A changed report is not wrong if it was rendered again from the same journal."""
    known = dict(form.signed_names(sealed))
    there = form.names_in(state.folder)
    changed = [name for name, wanted in known.items() if name in there and _digest(state, name) != wanted]
    again = formats.of_run(view) if changed and isinstance(view, RunView) else {}
    anew = [name for name in changed if name in again and _text(state, name) == again[name].encode()]
    changed = [name for name in changed if name not in anew]
    gone = [name for name in known if name not in there]
    added = [name for name in sorted(there) if name not in known]
    wrong = [*([f"changed: {names(changed)}"] if changed else []), *([f"missing: {names(gone)}"] if gone else [])]
    if wrong:
        return Check("files", Mark.WRONG, "; ".join(wrong))
    if added or anew:
        said = [f"not attested, added later: {names(added)}"] if added else []
        said += [f"rendered again after the signature, and not signed again: {names(anew)}"] if anew else []
        return Check("files", Mark.UNKNOWN, "; ".join(said))
    return Check("files", Mark.GOOD, f"{count(len(known), 'file')} as attested")


def _evidence(state: RunState) -> Check:
    """Check every evidence file whose digest is in the journal itself."""
    facts = [event.data if isinstance(readable(event), LeaseLog) else event.data.get("facts") for event in state.walk.events]
    named = {(name, f"sha256:{wanted.removeprefix('sha256:')}") for fact in facts if fact for name, wanted in _kept(fact)}
    wrong = sorted(name for name, wanted in named if not _inside(state.folder, name) or _digest(state, name) != wanted)
    if wrong:
        return Check(
            "evidence", Mark.WRONG, f"some files differ from their digests in the journal, or are missing: {names(wrong)}"
        )
    if state.walk.line:
        return Check("evidence", Mark.UNKNOWN, "the journal is damaged, so it may lack the names of some evidence files")
    return Check(
        "evidence",
        Mark.GOOD,
        f"{count(len(named), 'file')} with the same digests as in the journal"
        if named
        else "the journal names no evidence file",
    )


def _kept(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and digest of every evidence file that ``value`` mentions. ``value``: some or all facts of a step."""
    if isinstance(value, dict):
        name, wanted = value.get("file"), value.get("sha256")
        if isinstance(name, str) and isinstance(wanted, str) and name.startswith("evidence/"):
            yield name, wanted
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        if isinstance(item, dict | list):
            yield from _kept(item)


def _inside(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())


def _digest(state: RunState, name: str) -> str:
    with suppress(OSError):
        return form.digest_in(state, name)
    return ""


def _says(folder: Path, journal: Walk, sealed: Statement | None) -> Check:
    """Check that the folder, the digest of the plan and the attestation agree with the journal's first event."""
    first = readable(journal.events[0])
    if not isinstance(first, RunStarted):
        return Check("identity", Mark.WRONG, "the first event of the journal does not name its run and its plan")
    run = first.run
    if run != folder.name:
        return Check("identity", Mark.WRONG, f"the folder {folder.name} contains the journal of the run {run}")
    if digest_of(first.plan) != first.plan_digest:
        return Check("identity", Mark.WRONG, "the digest of the plan does not match the plan")
    wanted = {"run": run, "plan_digest": first.plan_digest, "previous_head": journal.events[0].prev}
    odd = [key for key, value in wanted.items() if sealed is not None and sealed.get(key) != value]
    if odd:
        return Check("identity", Mark.WRONG, f"the attestation differs from the journal in: {', '.join(odd)}")
    return Check("identity", Mark.GOOD, f"run {run}, plan {first.plan_digest[:19]}...")


def _judged(journal: Walk) -> RunView | str:
    """Derive the result of the run from its journal. Return the reason instead when this is impossible."""
    try:
        return judge(History(journal.events, journal.torn))
    except Exception as error:  # noqa: BLE001  such as a journal of another version: the reason is reported
        return f"{type(error).__name__}: {error}"


def _reports(state: RunState, view: RunView | str, sealed: Statement | None) -> Check:
    if isinstance(view, str):
        return Check("reports", Mark.UNKNOWN, f"the journal could not be judged: {view}")
    said: dict[str, object] = {"drill": view.result.drill, "environment": view.result.environment}
    if sealed is not None and sealed.get("occasion") not in form.CHECKPOINTS:
        said |= {"verdict": str(view.result.verdict), "exit": view.result.exit}
    if odd := [key for key, value in said.items() if sealed is not None and sealed.get(key) != value]:
        return Check("reports", Mark.WRONG, f"the attestation differs from the result of the journal in: {', '.join(odd)}")
    return _compared(state, formats.of_run(view), sealed)


def _compared(state: RunState, wanted: dict[str, str], sealed: Statement | None) -> Check:
    missing = [name for name in wanted if not (state.folder / name).is_file()]
    other = [name for name, text in wanted.items() if name not in missing and _text(state, name) != text.encode()]
    tool = sealed.get("tool") if sealed else None
    if sealed and other and tool not in (None, sign_runs.TOOL):
        if wrong := older_reports.unlike(state, wanted, sealed):
            return Check("reports", Mark.UNKNOWN, f"rendered by {tool}, whose words differ; {'; '.join(wrong)}")
        return Check("reports", Mark.GOOD, f"the files are as {tool} signed them, and their figures match the journal")
    if other:
        return Check("reports", Mark.WRONG, f"some files differ from the files rendered from the journal: {names(other)}")
    if missing:
        return Check("reports", Mark.UNKNOWN, f"missing: {names(missing)}; render them: invoke report {state.folder.name}")
    return Check("reports", Mark.GOOD, f"{count(len(wanted), 'file')}: rendering them again gives exactly the same bytes")


def _text(state: RunState, name: str) -> bytes:
    with suppress(OSError):
        return state.result.current().data if name == RESULT else (state.folder / name).read_bytes()
    return b""


def _suite(folder: Path, root: Path, runs: RunStates) -> Verified:
    inner = tuple(_run(runs.of(path), root) for path in damaged.drills_in(folder))
    state = runs.of(folder)
    attested = signature_check.look(state, root)
    sealed, checks = attested.statement, [*_signed(attested)]
    if sealed is not None:
        checks += [_members(state, sealed), _attested_files(state, sealed)]
    checks.append(_suite_reports(state, sealed, runs))
    return Verified(folder.name, tuple(checks), inner)


def _members(state: RunState, sealed: Statement) -> Check:
    """Check that a suite's folder contains exactly the drills in its attestation, each with an unchanged attestation."""
    runs = [run for run in sealed.get("runs") or () if isinstance(run, dict)]
    known = {str(run.get("folder")): run for run in runs}
    there = {path.parent.name for path in state.folder.glob(f"[!.]*/{FILE}")}
    if gone := sorted(set(known) - there):
        return Check("drills", Mark.WRONG, f"missing: {names(gone)}")
    if added := sorted(there - set(known)):
        return Check("drills", Mark.WRONG, f"not attested: {names(added)}")
    other = sorted(
        name for name, run in known.items() if _digest(state, f"{name}/{form.FILE}") != (run.get("attestation") or "")
    )
    if other:
        why = f"the attestations of these drills are not those that the signed suite lists: {names(other)}"
        return Check("drills", Mark.WRONG, why)
    return Check("drills", Mark.GOOD, f"{count(len(known), 'drill')} as attested")


def _suite_reports(state: RunState, sealed: Statement | None, runs: RunStates) -> Check:
    try:
        suite = SuiteResult.model_validate(state.result.parsed())
    except FileNotFoundError:
        return Check("ending", Mark.UNKNOWN, "the suite has no result: its controller died; verify its drills one by one")
    except (OSError, ValueError):
        return Check("reports", Mark.WRONG, "result.json cannot be read, or is not a valid result: the file was changed")
    try:
        walks = [runs.of(state.folder / str(run["folder"])).walk for run in suite.runs]
        views = [judge(History(journal.events, journal.torn)) for journal in walks if not journal.line]
    except Exception as error:  # noqa: BLE001  the checks of each drill report the drill's own errors
        return Check(
            "reports", Mark.UNKNOWN, f"the files were not rendered again: {type(error.__cause__ or error).__name__}"
        )
    if len(views) < len(suite.runs):
        return Check("reports", Mark.UNKNOWN, "the files were not rendered again, because a journal is damaged")
    odd = [
        view.result.drill
        for view, run in zip(views, suite.runs, strict=True)
        if (str(view.result.verdict), view.result.exit) != (str(run.get("verdict")), run.get("exit"))
    ]
    if odd:
        return Check("reports", Mark.WRONG, f"the suite states another verdict than the journal: {names(odd)}")
    rendered = formats.of_suite(suite, views)
    return _compared(state, {name: text for name, text in rendered.items() if name != RESULT}, sealed)
