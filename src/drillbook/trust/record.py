"""Records of trust, one file a project in the user's state folder: outside the repository, private to the user."""

from __future__ import annotations

import hmac
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.attestation import places
from drillbook.errors import DrillbookError, UsageError
from drillbook.values import canonical

SCHEMA = "drillbook/trust/1"
LARGEST = 4 << 20
VARIABLE = "DRILLBOOK_TRUST"
"""Holds the digests that are trusted, where nobody can be asked, as in CI; it then counts alone."""


class Unusable(DrillbookError):
    """The record cannot be believed; the message says why."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of trust: the digest, when, by whom, and the text and digest of each item by its key."""

    digest: str
    at: str
    by: str
    items: Mapping[str, Mapping[str, str]]


def place(root: Path, outside: str = "") -> Path | None:
    """The file for the project in ``root``, and an inventory ``outside`` of it; None where this user has no state folder."""
    return places.in_state("trust", root.resolve() / "trust" / outside.strip("/"), root, ".json")


def read(root: Path, outside: str = "") -> Record | None:
    """The record of trust in ``root``; None: nothing is trusted. Raises Unusable."""
    path = _ours(root, outside)
    data = _content(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
        if content["schema"] != SCHEMA or content["root"] != str(root.resolve()) or content["inventory"] != outside:
            raise ValueError("it is of another project or version")
        items = {str(key): {name: str(text) for name, text in one.items()} for key, one in content["items"].items()}
        return Record(str(content["digest"]), str(content["at"]), str(content["by"]), items)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Unusable(f"{path} is damaged: {error}", hint="trust anew: invoke trust") from None


def _content(path: Path) -> bytes | None:
    """Read a private file at ``path``; None: there is none. Raises Unusable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    try:
        _private(path, os.fstat(descriptor), stat.S_ISREG)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(LARGEST + 1)
    finally:
        os.close(descriptor)


def doubt(root: Path, outside: str, digest: str, *, several: bool) -> str:
    """Why what ``digest`` names is not trusted, by the record or, where it is set, by the variable; empty: it is.

    ``several``: the sentence is about several things.
    """
    them, was, has = ("them", "they were", "they have") if several else ("it", "it was", "it has")
    if said := os.environ.get(VARIABLE, ""):
        if holds(said, digest):
            return ""
        return f"{VARIABLE} {'does not hold' if several else 'holds another digest than'} {digest}"
    try:
        kept = read(root, outside)
    except Unusable as error:
        return str(error).replace("\n  hint: ", "; ")
    if kept is None:
        return f"nobody has trusted {them} yet"
    return "" if kept.digest == digest else f"{has} changed since {was} trusted, {kept.at}"


def holds(said: str, wanted: str) -> bool:
    """Is ``wanted`` one of the digests in ``said``, which are separated by commas or spaces?"""
    given = [one.strip().encode() for one in said.replace(",", " ").split()]
    return any(hmac.compare_digest(one, wanted.encode()) for one in given)


def write(root: Path, record: Record, outside: str = "") -> Path:
    """Keep ``record``; returns its file. Raises UsageError, Unusable."""
    path = _ours(root, outside, make=True)
    items = {key: dict(one) for key, one in record.items.items()}
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "root": str(root.resolve()),
        "inventory": outside,
        "digest": record.digest,
        "at": record.at,
        "by": record.by,
        "items": items,
    }
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(canonical(content) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; nothing is trusted") from None
    return path


def remove(root: Path, outside: str = "") -> bool:
    """Forget what is trusted in ``root``; False when nothing was. Raises UsageError."""
    path = place(root, outside)
    try:
        if path is None or not (path.is_symlink() or path.exists()):
            return False
        path.unlink()
    except OSError as error:
        raise UsageError(f"{path} cannot be removed: {error.strerror}; what it holds is still trusted") from None
    return True


def _ours(root: Path, outside: str, *, make: bool = False) -> Path:
    """The file, in a folder that nobody else may change, and not in the project. Raises Unusable."""
    path = place(root, outside)
    if path is None:
        raise Unusable("this user has no state folder", hint="set XDG_STATE_HOME, or DRILLBOOK_TRUST")
    if path.parent.resolve().is_relative_to(root.resolve()):
        raise Unusable(
            f"the state folder {path.parent} lies in the project, so whoever writes its files would trust them",
            hint="set XDG_STATE_HOME to a folder elsewhere, or DRILLBOOK_TRUST",
        )
    if make:
        with suppress(OSError):  # told below, or when it is written
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = path.parent.resolve()
    for number, one in enumerate((folder, *folder.parents)):
        with suppress(FileNotFoundError):
            found = one.stat()
            if number == 0:
                _private(one, found, stat.S_ISDIR)
            elif found.st_uid not in (0, os.geteuid()) or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
                raise _open_to_others(one)
    return path


def _private(path: Path, found: os.stat_result, kind: Any) -> None:
    """Raise Unusable unless ``path`` is of that kind, this user's, and written by nobody else."""
    if not kind(found.st_mode):
        raise Unusable(f"{path} is not what it should be: remove it")
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise _open_to_others(path)


def _open_to_others(path: Path) -> Unusable:
    return Unusable(
        f"other users may change {path}, so nothing in it counts as trusted",
        hint=f"look who did, then: chmod go-w {path}; or set XDG_STATE_HOME to a folder of your own",
    )
