"""Records of trust.

Each project has one file in the user's state folder, which is outside of the repository. Only this user can access the
file.
"""

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

from drillbook.atomic_file import private_folder, replace_file
from drillbook.attestation import anchor_places
from drillbook.errors import DrillbookError, UsageError
from drillbook.values import canonical

SCHEMA = "drillbook/trust/1"
LARGEST = 4 << 20
VARIABLE = "DRILLBOOK_TRUST"
"""Environment variable with trusted digests.

The variable is meant for CI, where nobody can answer a question. If it is set, the record of trust is not used.
"""


class Unusable(DrillbookError):
    """Raised when a record of trust cannot be used, for example because other users could change the record.

    The message tells the reason.
    """


@dataclass(frozen=True, slots=True)
class Record:
    """A record of trust in a project: the digest that the user trusted, the time, and the name of the user. ``items`` has an
    entry for each trusted item, under the item's key: its text and its digest.
    """

    digest: str
    at: str
    by: str
    items: Mapping[str, Mapping[str, str]]


def place(root: Path, outside: str = "") -> Path | None:
    """Return the path of the record for the project ``root``. Returns None when there is no state folder.

    ``outside``: inventory file outside the project. The project has a separate record for each such file.
    """
    return anchor_places.in_state("trust", root.resolve() / "trust" / outside.strip("/"), root, ".json")


def read(root: Path, outside: str = "") -> Record | None:
    """Read the record of trust in the project ``root``. Returns None when there is no record. Raises Unusable when the
    record cannot be used.
    """
    path = _ours(root, outside)
    data = _content(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
        if content["schema"] != SCHEMA or content["root"] != str(root.resolve()) or content["inventory"] != outside:
            raise ValueError("the record belongs to another project or version")
        items = {str(key): {name: str(text) for name, text in texts.items()} for key, texts in content["items"].items()}
        return Record(str(content["digest"]), str(content["at"]), str(content["by"]), items)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Unusable(f"{path} is damaged: {error}", hint="to trust the project again, run `invoke trust`") from None


def _content(path: Path) -> bytes | None:
    """Read the private file at ``path``. Returns None when the file does not exist. Raises Unusable when the file
    cannot be read, or when another user could change it.
    """
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
    """Return the reason why ``digest`` is not trusted. The result is empty when it is trusted.

    A digest is trusted when it is in DRILLBOOK_TRUST. If this variable is not set, the digest in the record is trusted.
    ``several``: True when the digest stands for several things, such as plugins. The reason is then worded in the
    plural.
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
    """Return True when ``wanted`` is one of the digests in ``said``.

    The digests in ``said`` are separated by commas or spaces.
    """
    given = [part.strip().encode() for part in said.replace(",", " ").split()]
    return any(hmac.compare_digest(digest, wanted.encode()) for digest in given)


def write(root: Path, record: Record, outside: str = "") -> Path:
    """Store ``record``, and return the path of its file. Raises UsageError when the file cannot be written, and
    Unusable when other users could change the file or its folder.
    """
    path = _ours(root, outside, make=True)
    items = {key: dict(texts) for key, texts in record.items.items()}
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "root": str(root.resolve()),
        "inventory": outside,
        "digest": record.digest,
        "at": record.at,
        "by": record.by,
        "items": items,
    }
    try:
        replace_file(path, canonical(content) + b"\n", flush=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; nothing is trusted") from None
    return path


def remove(root: Path, outside: str = "") -> bool:
    """Remove the record of trust in the project ``root``. Returns False when there was no record. Raises UsageError
    when the record cannot be removed.
    """
    path = place(root, outside)
    try:
        if path is None or not (path.is_symlink() or path.exists()):
            return False
        path.unlink()
    except OSError as error:
        raise UsageError(f"{path} cannot be removed: {error.strerror}; its content is still trusted") from None
    return True


def _ours(root: Path, outside: str, *, make: bool = False) -> Path:
    """Return the path of the record's file.

    The file is outside the project, in a folder that only this user can change. Raises Unusable when there is no such
    folder.
    """
    path = place(root, outside)
    if path is None:
        raise Unusable(
            "there is no folder for records of trust, because this user has no home folder",
            hint="set XDG_STATE_HOME, or DRILLBOOK_TRUST",
        )
    if path.parent.resolve().is_relative_to(root.resolve()):
        raise Unusable(
            (
                f"the state folder {path.parent} is in the project, so anybody who can write to the project could also "
                "record trust in it"
            ),
            hint="set XDG_STATE_HOME to a folder outside the project, or DRILLBOOK_TRUST",
        )
    if make:
        with suppress(OSError):  # if the folder cannot be created, the checks below or the write itself report this
            private_folder(path.parent)
    folder = path.parent.resolve()
    for number, ancestor in enumerate((folder, *folder.parents)):
        with suppress(FileNotFoundError):
            status = ancestor.stat()
            if number == 0:
                _private(ancestor, status, stat.S_ISDIR)
            elif status.st_uid not in (0, os.geteuid()) or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX):
                raise _open_to_others(ancestor)
    return path


def _private(path: Path, status: os.stat_result, kind: Any) -> None:
    """Raise Unusable unless ``path`` has the file type ``kind``, belongs to this user, and cannot be written by other
    users.
    """
    if not kind(status.st_mode):
        raise Unusable(f"{path} has the wrong file type; remove it")
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise _open_to_others(path)


def _open_to_others(path: Path) -> Unusable:
    return Unusable(
        f"other users can change {path}, so its content is not trusted",
        hint=(
            f"find out who changed it, and then run `chmod go-w {path}`, or set XDG_STATE_HOME to a "
            "folder that belongs to you"
        ),
    )
