"""``attestation.json``: the digests of all that a run left and the head of its journal, signed when the run has ended.

Written anew when a recovery or a new rendering changed the folder, and only while the journal still continues what was
attested before: nobody's signature is put under a journal that was written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook import __version__
from drillbook.attesting import keys
from drillbook.attesting.keys import KeyProblem
from drillbook.attesting.lines import walk
from drillbook.journal import FILE as JOURNAL
from drillbook.remains import ATTESTATION
from drillbook.report import publish
from drillbook.result import RunView, SuiteResult
from drillbook.values import digest

SCHEMA = "drillbook/attestation/1"
FILE = ATTESTATION
SIGNATURE = "attestation.json.sig"
TOOL = f"drillbook {__version__}"
OWN = ("at", "attested_by", "tool", "occasion", "key", "unsigned", "previous_attestation")
"""Keys that tell of the attestation itself; all others tell of the run."""
Statement = dict[str, Any]


def seal_run(folder: Path, view: RunView, root: Path, by: str, occasion: str = "run") -> str:
    """Write and sign the attestation of a run; returns why it is not signed, empty when it is.

    ``occasion`` is ``run``, ``recovery`` or ``report``. Nothing that goes wrong here is raised: the run has its verdict.
    """
    result = view.result
    content = {
        "schema": SCHEMA, "run": result.run, "drill": result.drill, "environment": result.environment,
        "verdict": str(result.verdict), "exit": result.exit, "started": result.started, "finished": result.finished,
        "operator": result.operator, "plan_digest": result.plan_digest, "head": view.journal_head,
        "events": view.journal_events, "previous_head": _first(folder).get("prev")}
    return _seal(folder, content, root, by, occasion)


def seal_suite(folder: Path, suite: SuiteResult, root: Path, by: str, occasion: str = "run") -> str:
    """Write and sign the attestation of a suite, which holds the digests of those of its drills; see ``seal_run``."""
    content = {
        "schema": SCHEMA, "run": suite.run, "suite": suite.suite, "environment": suite.environment,
        "verdict": str(suite.verdict), "exit": suite.exit, "started": suite.started, "finished": suite.finished,
        "operator": by, "runs": [_member(folder, run) for run in suite.runs]}
    if (before := load(folder)) and isinstance(before.get("operator"), str):
        content["operator"] = before["operator"]
    return _seal(folder, content, root, by, occasion)


def load(folder: Path) -> Statement | None:
    """The attestation in ``folder``; None when there is none that can be read."""
    try:
        found = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def files_in(folder: Path) -> Iterator[Path]:
    """Every file of a run's folder that an attestation names; the runs inside a suite's folder have their own."""
    for path in sorted(folder.iterdir()):
        if path.name in (FILE, SIGNATURE) or path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not (path / JOURNAL).exists():
            yield from (one for one in sorted(path.rglob("*")) if one.is_file() and not one.is_symlink())


def file_digest(path: Path) -> str:
    """``sha256:`` and the hex digest of a file. Raises OSError."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def doubt(folder: Path) -> str:
    """Why the run in ``folder`` is not what was attested before, so that it must not be attested anew; or empty."""
    if not (folder / FILE).exists():
        return "its attestation was removed" if (folder / SIGNATURE).exists() else ""
    before = load(folder)
    if before is None:
        return f"{FILE} cannot be read"
    return _unfit(folder, before) or _discontinued(folder, before)


def _discontinued(folder: Path, before: Statement) -> str:
    """Why journal and evidence are not those that ``before`` tells of, or their continuation; or empty."""
    try:
        found = walk((folder / JOURNAL).read_bytes())
    except OSError as error:
        return f"{JOURNAL} cannot be read: {error.strerror}"
    events, head = before.get("events"), before.get("head")
    if not isinstance(events, int) or not 0 < events <= len(found.hashes) or found.hashes[events - 1] != head:
        return "its journal does not continue the one that was attested"
    for name, known in _named(before):
        if name.startswith("evidence/") and not _same(folder / name, known):
            return f"{name} is not the file that was attested"
    return ""


def _unfit(folder: Path, before: Statement) -> str:
    """Why the signature of ``before`` does not hold; empty when it holds, or when it never had one."""
    if not before.get("key"):
        return ""
    if not (folder / SIGNATURE).exists():
        return "the signature of its attestation was removed"
    try:
        made = keys.signer((folder / FILE).read_bytes(), folder / SIGNATURE)
    except KeyProblem:
        return ""  # it cannot be tried here: then it cannot be signed here either
    return "" if made else "the signature of its attestation does not fit"


def _named(statement: Statement) -> Iterator[tuple[str, str]]:
    files = statement.get("files")
    for name, known in files.items() if isinstance(files, dict) else ():
        yield str(name), str(known.get("sha256")) if isinstance(known, dict) else ""


def _same(path: Path, known: str) -> bool:
    try:
        return file_digest(path) == known
    except OSError:
        return False


def _first(folder: Path) -> dict[str, Any]:
    with (folder / JOURNAL).open("rb") as file:
        found = json.loads(file.readline())
    return found if isinstance(found, dict) else {}


def _member(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """What a suite's attestation says of one of its drills."""
    inner = folder / str(run["folder"])
    known = load(inner) or {}
    attested = digest((inner / FILE).read_bytes()) if (inner / FILE).exists() else None
    return {"run": run["run"], "drill": run["drill"], "folder": run["folder"], "verdict": str(run["verdict"]),
            "exit": run["exit"], "head": known.get("head"), "events": known.get("events"), "attestation": attested}


def _seal(folder: Path, content: Statement, root: Path, by: str, occasion: str) -> str:
    try:
        content["files"] = {path.relative_to(folder).as_posix(): {"sha256": file_digest(path), "bytes": path.stat().st_size}
                            for path in files_in(folder)}
        before = load(folder)
        if before and _unchanged(folder, before, content):
            return str(before.get("unsigned") or "")
        content |= {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "attested_by": by, "tool": TOOL,
                    "occasion": occasion, "previous_attestation": _previous(folder, before)}
        return _write(folder, content, root)
    except OSError as error:
        return f"the attestation cannot be written: {error.strerror}"


def _unchanged(folder: Path, before: Statement, content: Statement) -> bool:
    """Is what was attested still all there is, with a signature that holds?"""
    same = {key: value for key, value in before.items() if key not in OWN} == content
    return same and bool(before.get("key")) and not _unfit(folder, before)


def _previous(folder: Path, before: Statement | None) -> dict[str, Any] | None:
    if before is None:
        return None
    return {"sha256": digest((folder / FILE).read_bytes()), "at": before.get("at"), "head": before.get("head"),
            "events": before.get("events"), "signed": bool(before.get("key")) and not _unfit(folder, before),
            "sealed_at_end": sealed_at_end(before)}


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
        content |= {"key": None, "unsigned": why}
    (folder / SIGNATURE).unlink(missing_ok=True)
    _put(folder / FILE, _text(content))
    if signature:
        _put(folder / SIGNATURE, signature)
    return why


def approved_with(folder: Path) -> str:
    """Fingerprint of the key that approved the run in ``folder``; empty for a run without an approval, and for a suite."""
    try:
        approval = _first(folder).get("data", {}).get("approval")
    except (OSError, ValueError, AttributeError):
        return ""
    return str(approval.get("key", "")) if isinstance(approval, dict) else ""


def _apart(folder: Path, fingerprint: str) -> None:
    """Raise KeyProblem when the key that would sign has approved the run, or a drill of the suite, in ``folder``."""
    if fingerprint in map(approved_with, (folder, *(path.parent for path in folder.glob(f"*/{JOURNAL}")))):
        raise KeyProblem(f"the key {fingerprint} approved what it would sign; sign runs with another one")


def _text(content: Statement) -> bytes:
    return publish.as_json(content).encode()


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


def signed_names(statement: Statement) -> Sequence[tuple[str, str]]:
    """The files that ``statement`` names, each with its digest."""
    return list(_named(statement))
