"""Writes and signs ``attestation.json``: digests of a run's files, and the last hash of its journal.

A run signs its journal when it begins, right before it injects the fault, and when it has ended. Later, a process may change
the folder, because it recovers the run or renders the reports again. Then it writes a new attestation. This attestation
covers only two kinds of content: content that a trusted key signed before (see ``trusted_content``), and content that this
process itself wrote.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from drillbook import __version__
from drillbook.atomic_file import replace_file
from drillbook.attestation import anchor_lines
from drillbook.attestation.format import (
    FILE,
    RENDERED,
    SCHEMA,
    SIGNATURE,
    Statement,
    approved_with,
    file_digest,
    files_in,
    kept_names,
    load,
)
from drillbook.attestation.trusted_content import Standing, members
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.journal.lines import Chain
from drillbook.journal.own_writes import Written
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report import formats
from drillbook.sdk.run_folder import sync_path
from drillbook.signing import keys
from drillbook.signing.keys import KeyProblem
from drillbook.values import digest

TOOL = f"drillbook {__version__}"
OWN = ("at", "attested_by", "tool", "occasion", "key", "unsigned", "previous_attestation")
"""Keys of the signed statement that describe the attestation. All other keys describe the run."""
REPORTS = "reports"
NEW = Standing()
"""State of a folder that this process itself created. Such a folder held no signed content before."""
NOT_AS_WRITTEN = (
    "another program changed the journal: the journal on the disk differs from the events that this process wrote"
)


@dataclass(frozen=True, slots=True)
class Sealer:
    """Settings of a signature.

    ``root``: folder of the project that has the key. ``by``: name of the person who signs. ``occasion``: moment of the
    run at which the signature is made.
    """

    root: Path
    by: str
    occasion: str = "run"
    missed: list[str] = field(default_factory=list)
    """Messages about anchors and timestamps that could not be obtained. Each message has the reason."""


class File(NamedTuple):
    """Digest and size of a file."""

    digest: str
    size: int

    @classmethod
    def read(cls, path: Path) -> File:
        """Read a file. Raises OSError when it cannot be read."""
        return cls(file_digest(path), path.stat().st_size)

    @property
    def entry(self) -> dict[str, Any]:
        """Entry of the file in an attestation."""
        return {"sha256": self.digest, "bytes": self.size}


def seal_run(
    state: RunState,
    view: RunView,
    rendered: Mapping[str, str],
    sealer: Sealer,
    *,
    written: Written | None = None,
    before: Standing = NEW,
) -> str:
    """Write and sign the attestation of a run. Return the reason if it could not be signed, otherwise an empty text.

    ``state``: the journal from which the run was judged. ``rendered``: contents of the reports that were made from this
    journal. These contents are signed, even if another program has replaced the files of the reports since. ``before``:
    state of the run's folder before this process changed it. ``written``: part of the journal that this process wrote. Errors
    are returned, not raised, because the run already has its verdict.
    """
    folder, journal = state.folder, state.chain
    try:
        if state.unreadable:
            raise state.unreadable
        if why := _not_covered(journal, view, written, before):
            return why
        content = _statement(view) | {"previous_head": journal.prev}
        gaps, loose = _gaps(written, before), _loose(folder, written, before)
        content |= {"unvouched": gaps} if gaps else {}
        content |= {"unvouched_files": loose} if loose else {}
        known = {JOURNAL: File(state.digest, state.size), **_rendered(rendered)}
        return _seal(_Signing(folder, sealer, before, known, {approved_with(state)}), content, _names(before, written))
    except OSError as error:
        return _unmade(error)


def _statement(view: RunView) -> Statement:
    result = view.result
    return {
        "schema": SCHEMA,
        "run": result.run,
        "drill": result.drill,
        "environment": result.environment,
        "verdict": str(result.verdict),
        "exit": result.exit,
        "started": result.started,
        "finished": result.finished,
        "operator": result.operator,
        "plan_digest": result.plan_digest,
        "head": view.journal_head,
        "events": view.journal_events,
    }


def _unmade(error: OSError) -> str:
    return f"the attestation cannot be made, because a file cannot be read or written: {error.strerror}"


def _not_covered(journal: Chain, view: RunView, written: Written | None, before: Standing) -> str:
    """Return the reason why the run must not be signed, or an empty text.

    The run may be signed only if each event of its journal was signed before, or was written by this process.
    """
    if before.doubt:
        return before.doubt
    if not journal.intact or not journal.hashes or journal.hashes[-1] != view.journal_head:
        return NOT_AS_WRITTEN
    if before.sealed and journal.hashes[before.events - 1 : before.events] != (before.sealed.get("head"),):
        return NOT_AS_WRITTEN
    if written is None or written.first < 0:
        return before.unvouched
    events, head = written.now()
    return "" if (events, head) == (len(journal.hashes), journal.hashes[-1]) else NOT_AS_WRITTEN


def _gaps(written: Written | None, before: Standing) -> list[list[int]]:
    """Return the ranges of events of unknown origin. These events were not signed before, and this process did not write them.

    Each range is a pair of the numbers ``seq`` of the first and the last event.
    """
    if written is not None and written.first > before.events:
        return [*before.gaps, [before.events, written.first - 1]]
    return before.gaps


def _loose(folder: Path, written: Written | None, before: Standing) -> list[str]:
    """Return the names of unsigned files that existed before this process began. The attestation must list them."""
    sealed = before.sealed or {}
    named, known = sealed.get("unvouched_files"), {name for name, _ in kept_names(sealed)}
    old = {str(name) for name in named} if isinstance(named, list) else set()
    new = before.files - known - {JOURNAL, *RENDERED} if written is not None and written.first >= 0 else frozenset()
    return sorted(name for name in old | new if (folder / name).is_file())


def _names(before: Standing, written: Written | None) -> frozenset[str] | None:
    """Return the names of the files to attest; None means all files.

    When only the reports were rendered again, files that nobody signed before are left out.
    """
    if written is not None and written.first >= 0:
        return None
    return frozenset({JOURNAL, *RENDERED, *(name for name, _ in kept_names(before.sealed or {}))})


def checkpoint(folder: Path, written: Written, sealer: Sealer, run: Mapping[str, Any], approver: str) -> str:
    """Sign the journal of a run in progress, up to the last event. This part stays signed even if the controller dies later.
    Return the reason if it could not be signed, otherwise an empty text.

    ``run``: fields that identify the run. ``approver``: fingerprint of the key that approved the run, or an empty text for a
    run without an approval.
    """
    try:
        events, head = written.now()
        sync_path(folder / JOURNAL)
        content = {"schema": SCHEMA, **run, "verdict": None, "exit": None, "finished": None, "head": head, "events": events}
        return _seal(_Signing(folder, sealer, NEW, {}, {approver}), content, frozenset())
    except OSError as error:
        return _unmade(error)


def seal_suite(
    folder: Path,
    suite: SuiteResult,
    rendered: Mapping[str, str],
    sealer: Sealer,
    *,
    attested: Mapping[str, str | None],
    before: Standing = NEW,
    runs: RunStates | None = None,
) -> str:
    """Write and sign the attestation of a suite; see ``seal_run``.

    ``attested``: digest of each attestation that this process wrote for a drill of the suite. The key of each entry is the
    folder of the drill. ``before``: state of the suite's folder before this process changed it. For a drill that is not in
    ``attested``, the digest is taken from the previous attestation of the suite, which is in ``before``. ``runs``: states of
    the drills' runs, if they were read already.
    """
    if before.unvouched:
        return before.unvouched
    known = {str(run.get("folder")): run for run in members(before.sealed or {})}
    content = {
        "schema": SCHEMA,
        "run": suite.run,
        "suite": suite.suite,
        "environment": suite.environment,
        "verdict": str(suite.verdict),
        "exit": suite.exit,
        "started": suite.started,
        "finished": suite.finished,
        "operator": before.sealed.get("operator") if before.sealed else sealer.by,
        "runs": [_member(folder, run, attested, known) for run in suite.runs],
    }
    try:
        names = frozenset({*RENDERED, *(name for name, _ in kept_names(before.sealed))}) if before.sealed else None
        signing = _Signing(folder, sealer, before, _rendered(rendered), _approvers(folder, runs or RunStates()))
        return _seal(signing, content, names)
    except OSError as error:
        return _unmade(error)


def seal_campaign(folder: Path, content: Statement, unvouched: list[list[int]], sealer: Sealer) -> str:
    """Write and sign the attestation of a campaign. Return the reason if it could not be signed, otherwise an empty text.

    ``content``: description of the campaign, with the length and the last hash of its journal, and the last hash of each
    site's run. ``unvouched``: ranges of events in the campaign's journal that other processes wrote.
    """
    files = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
    try:
        said = {
            "schema": SCHEMA,
            **content,
            **({"unvouched": unvouched} if unvouched else {}),
            "files": {name: File.read(path).entry for name, path in files.items()},
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "attested_by": sealer.by,
            "tool": TOOL,
            "occasion": sealer.occasion,
            "previous_attestation": _previous(folder, NEW),
        }
        return _write(folder, said, sealer.root, _approvers(folder, RunStates()))
    except OSError as error:
        return _unmade(error)


def _member(
    folder: Path, run: dict[str, Any], attested: Mapping[str, str | None], known: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Make the entry of one drill in a suite's attestation."""
    name = str(run["folder"])
    said = {key: run[key] for key in ("run", "drill", "folder", "exit")} | {"verdict": str(run["verdict"])}
    if name not in attested:
        old = known.get(name, {})
        return {**said, **{key: old.get(key) for key in ("head", "events", "attestation")}}
    inner = load(folder / name) or {}
    return {**said, "head": inner.get("head"), "events": inner.get("events"), "attestation": attested[name]}


def written_digest(folder: Path) -> str | None:
    """Return the digest of the attestation in ``folder``. Returns None when there is no attestation."""
    try:
        return digest((folder / FILE).read_bytes())
    except OSError:
        return None


def _rendered(texts: Mapping[str, str]) -> dict[str, File]:
    return {name: File(digest(data := text.encode()), len(data)) for name, text in texts.items()}


@dataclass(frozen=True, slots=True)
class _Signing:
    """Data that one signature of a folder needs besides the statement."""

    folder: Path
    sealer: Sealer
    before: Standing
    known: Mapping[str, File]
    """Digests and sizes of the files whose content this process has judged or rendered. These files are not read again. The
    key of each entry is the name of the file.
    """
    approvers: Collection[str]
    """Fingerprints of the keys that approved the runs in the folder."""


def _seal(signing: _Signing, content: Statement, names: Collection[str] | None) -> str:
    """Complete, sign and write the statement ``content``. Do nothing if the existing signed statement is equal.

    Return the reason if it could not be signed, otherwise an empty text. Raises OSError when the file cannot be written.
    """
    folder, sealer, before = signing.folder, signing.sealer, signing.before
    there = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
    content["files"] = {
        name: (signing.known.get(name) or File.read(path)).entry
        for name, path in there.items()
        if names is None or name in names
    }
    if before.sealed and {key: value for key, value in before.sealed.items() if key not in OWN} == content:
        return ""
    content |= {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "attested_by": sealer.by,
        "tool": TOOL,
        "occasion": sealer.occasion,
        "previous_attestation": _previous(folder, before),
    }
    why = _write(folder, content, sealer.root, signing.approvers)
    sealer.missed.extend(
        failure for failure in anchor_lines.note(folder, sealer.root / REPORTS, content) if failure not in sealer.missed
    )
    return why


def _previous(folder: Path, before: Standing) -> dict[str, Any] | None:
    """Describe the previous attestation: its digest, its time, the length and last hash of the journal that it covers,
    and the state of its signature. Return None if there is no previous attestation.
    """
    old = before.sealed or load(folder)
    if old is None:
        return None
    signed = before.sealed is not None
    return {
        "sha256": written_digest(folder),
        "at": old.get("at"),
        "head": old.get("head"),
        "events": old.get("events"),
        "signed": signed,
        "sealed_at_end": signed and sealed_at_end(old),
    }


def sealed_at_end(statement: Statement) -> bool:
    """Return True when this attestation or a previous one was signed at the end of the run."""
    if statement.get("occasion") == "run":
        return bool(statement.get("key"))
    before = statement.get("previous_attestation")
    return isinstance(before, dict) and before.get("signed") is True and before.get("sealed_at_end") is True


def _write(folder: Path, content: Statement, root: Path, approvers: Collection[str]) -> str:
    """Write and sign ``content``. Return the reason if it could not be signed, otherwise an empty text.

    The old signature is removed before the new text is written, so that it never stands beside the new text. If signing fails
    while an older signature exists, nothing is written, and the older attestation stays with its signature. ``approvers``:
    fingerprints of the keys that approved a run in the folder. None of these keys may sign: one person must not both approve
    and attest a run.
    """
    why, signature = "", b""
    try:
        key, public = keys.ready_key(root)
        _apart(keys.fingerprint(public), approvers)
        content |= {"key": {"public": public, "fingerprint": keys.fingerprint(public)}, "unsigned": None}
        signature = keys.sign(_text(content), key)
    except KeyProblem as problem:
        why = str(problem)
        if (folder / SIGNATURE).exists():
            return why  # keep the existing signature, which covers the start of the journal
        content |= {"key": None, "unsigned": why}
    (folder / SIGNATURE).unlink(missing_ok=True)
    replace_file(folder / FILE, _text(content), flush=True)
    if signature:
        replace_file(folder / SIGNATURE, signature, flush=True)
    return why


def _approvers(folder: Path, runs: RunStates) -> set[str]:
    """Return the fingerprints of the keys that approved the drills of the suite, or of the campaign, in ``folder``."""
    return {approved_with(runs.of(path.parent)) for path in folder.glob(f"*/{JOURNAL}")}


def _apart(fingerprint: str, approvers: Collection[str]) -> None:
    """Raise KeyProblem when the key ``fingerprint``, which signs a run, is also the key of a person who approved the run."""
    if fingerprint in approvers:
        raise KeyProblem(f"the key {fingerprint} also signed the approval of this run; sign runs with another key")


def _text(content: Statement) -> bytes:
    return formats.as_json(content).encode()
