"""``attestation.json``: the digests of all that a run left and the head of its journal, signed by who wrote it.

A run signs its head when it begins, right before it injects, and when it has ended. Written anew when a recovery or a new
rendering changed the folder, and only for what a vouched key signed before (see ``standing``) or this process wrote itself.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook import __version__
from drillbook.attestation import anchors
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
from drillbook.attestation.lines import Walk, walk
from drillbook.attestation.standing import Standing, members
from drillbook.journal.journal import FILE as JOURNAL
from drillbook.journal.own_writes import Written
from drillbook.judge.result import RunView, SuiteResult
from drillbook.report import formats
from drillbook.sdk.run_folder import sync_path
from drillbook.signing import keys
from drillbook.signing.keys import KeyProblem
from drillbook.values import digest

TOOL = f"drillbook {__version__}"
OWN = ("at", "attested_by", "tool", "occasion", "key", "unsigned", "previous_attestation")
"""Keys that tell of the attestation itself; all others tell of the run."""
REPORTS = "reports"
NEW = Standing()
"""The standing of a folder that this process made itself."""
NOT_AS_WRITTEN = "the journal on the disk is not what this process wrote: somebody changed it"


@dataclass(frozen=True, slots=True)
class Sealer:
    """Project whose key signs (its folder ``root``), and the occasion of signing."""

    root: Path
    by: str
    occasion: str = "run"
    missed: list[str] = field(default_factory=list)
    """Anchors and timestamps that could not be had, each with the reason."""


def seal_run(folder: Path, view: RunView, sealer: Sealer, *, written: Written | None = None, before: Standing = NEW) -> str:
    """Write and sign the attestation of a run; returns why it is not signed, empty when it is.

    ``before`` is the standing of its folder before this process changed anything there, and ``written`` what it wrote
    of the journal. Nothing that goes wrong here is raised: the run has its verdict.
    """
    try:
        found = walk((folder / JOURNAL).read_bytes())
        if why := _not_covered(found, view, written, before):
            return why
        result = view.result
        content = {
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
            "previous_head": found.events[0].prev,
        }
        gaps, loose = _gaps(written, before), _loose(folder, written, before)
        content |= {"unvouched": gaps} if gaps else {}
        content |= {"unvouched_files": loose} if loose else {}
        return _seal(folder, content, sealer, before, _names(before, written))
    except OSError as error:
        return f"the attestation cannot be written: {error.strerror}"


def _not_covered(found: Walk, view: RunView, written: Written | None, before: Standing) -> str:
    """Why what lies in the journal was neither vouched for before nor written by this process; or empty."""
    if before.doubt:
        return before.doubt
    if found.line or found.torn or not found.hashes or found.hashes[-1] != view.journal_head:
        return NOT_AS_WRITTEN
    if before.sealed and found.hashes[before.events - 1 : before.events] != [before.sealed.get("head")]:
        return NOT_AS_WRITTEN
    if written is None or written.first < 0:
        return before.unvouched
    events, head = written.now()
    return "" if (events, head) == (len(found.hashes), found.hashes[-1]) else NOT_AS_WRITTEN


def _gaps(written: Written | None, before: Standing) -> list[list[int]]:
    """First and last number of events that nobody vouches for: between what was signed and what this process wrote."""
    if written is not None and written.first > before.events:
        return [*before.gaps, [before.events, written.first - 1]]
    return before.gaps


def _loose(folder: Path, written: Written | None, before: Standing) -> list[str]:
    """Names of attested files that were there before this process began and that nobody vouched for."""
    sealed = before.sealed or {}
    named, known = sealed.get("unvouched_files"), {name for name, _ in kept_names(sealed)}
    old = {str(name) for name in named} if isinstance(named, list) else set()
    new = before.files - known - {JOURNAL, *RENDERED} if written is not None and written.first >= 0 else frozenset()
    return sorted(name for name in old | new if (folder / name).is_file())


def _names(before: Standing, written: Written | None) -> frozenset[str] | None:
    """Names of the files to attest; None: all that are there. A new rendering takes nothing in that was added by hand."""
    if written is not None and written.first >= 0:
        return None
    return frozenset({JOURNAL, *RENDERED, *(name for name, _ in kept_names(before.sealed or {}))})


def checkpoint(folder: Path, written: Written, sealer: Sealer, run: Mapping[str, Any]) -> str:
    """Sign the head of a run that goes on, so that it is vouched for up to here if it dies; returns why it could not.

    ``run`` says which run it is.
    """
    try:
        events, head = written.now()
        sync_path(folder / JOURNAL)
        content = {"schema": SCHEMA, **run, "verdict": None, "exit": None, "finished": None, "head": head, "events": events}
        return _seal(folder, content, sealer, NEW, frozenset())
    except OSError as error:
        return f"the attestation cannot be written: {error.strerror}"


def seal_suite(
    folder: Path, suite: SuiteResult, sealer: Sealer, attested: Mapping[str, str | None], before: Standing = NEW
) -> str:
    """Write and sign the attestation of a suite; see ``seal_run``.

    ``attested`` are the digests of the attestations of its drills as this process wrote them, by folder; of a drill that
    is not among them that counts which ``before`` vouches for.
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
        return _seal(folder, content, sealer, before, names)
    except OSError as error:
        return f"the attestation cannot be written: {error.strerror}"


def _member(
    folder: Path, run: dict[str, Any], attested: Mapping[str, str | None], known: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """What a suite's attestation says of one of its drills."""
    name = str(run["folder"])
    said = {key: run[key] for key in ("run", "drill", "folder", "exit")} | {"verdict": str(run["verdict"])}
    if name not in attested:
        old = known.get(name, {})
        return {**said, **{key: old.get(key) for key in ("head", "events", "attestation")}}
    inner = load(folder / name) or {}
    return {**said, "head": inner.get("head"), "events": inner.get("events"), "attestation": attested[name]}


def written_digest(folder: Path) -> str | None:
    """The digest of the attestation in ``folder``; None when there is none."""
    try:
        return digest((folder / FILE).read_bytes())
    except OSError:
        return None


def _seal(folder: Path, content: Statement, sealer: Sealer, before: Standing, names: Iterable[str] | None) -> str:
    """Complete, sign and write ``content``, unless the attestation says the same already. Raises OSError."""
    there = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
    content["files"] = {
        name: {"sha256": file_digest(path), "bytes": path.stat().st_size}
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
    why = _write(folder, content, sealer.root)
    sealer.missed.extend(one for one in anchors.note(folder, sealer.root / REPORTS, content) if one not in sealer.missed)
    return why


def _previous(folder: Path, before: Standing) -> dict[str, Any] | None:
    """Digest and state of the attestation before this one, with the answer if a vouched key had signed it."""
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
    """Was the run signed when it ended, by this attestation or by one before it?"""
    if statement.get("occasion") == "run":
        return bool(statement.get("key"))
    before = statement.get("previous_attestation")
    return isinstance(before, dict) and before.get("signed") is True and before.get("sealed_at_end") is True


def _write(folder: Path, content: Statement, root: Path) -> str:
    """Sign and write ``content``. The old signature goes first: a new text never lies beside the signature of another."""
    why, signature = "", b""
    try:
        key, public = keys.ready_key(root)
        _apart(folder, keys.fingerprint(public))
        content |= {"key": {"public": public, "fingerprint": keys.fingerprint(public)}, "unsigned": None}
        signature = keys.sign(_text(content), key)
    except KeyProblem as problem:
        why = str(problem)
        if (folder / SIGNATURE).exists():
            return why  # what was signed before still says up to where somebody vouches
        content |= {"key": None, "unsigned": why}
    (folder / SIGNATURE).unlink(missing_ok=True)
    _put(folder / FILE, _text(content))
    if signature:
        _put(folder / SIGNATURE, signature)
    return why


def _apart(folder: Path, fingerprint: str) -> None:
    """Raise KeyProblem when the key that would sign has approved the run, or a drill of the suite, in ``folder``."""
    if fingerprint in map(approved_with, (folder, *(path.parent for path in folder.glob(f"*/{JOURNAL}")))):
        raise KeyProblem(f"the key {fingerprint} approved what it would sign; sign runs with another one")


def _text(content: Statement) -> bytes:
    return formats.as_json(content).encode()


def _put(path: Path, data: bytes) -> None:
    """Write a file of a run atomically, on the disk when this returns."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
