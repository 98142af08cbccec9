"""Replaces a file on this machine atomically. At every moment, and also after a crash, the file contains the whole old
content or the whole new content. Also creates folders that are closed to other users."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

OWNER_ONLY = 0o600


def replace_file(path: Path, data: bytes, *, mode: int | None = OWNER_ONLY, flush: bool = False) -> None:
    """Write ``data`` to a temporary file in the folder of ``path``, and rename the file to ``path``.

    Raises OSError when the file cannot be written. In this case, no temporary file is left, and ``path`` is unchanged.

    Parameters:
        path: file to write. The file may exist already.
        data: new content of the file.
        mode: permissions of the file, whatever the umask is. When it is None, the umask decides, as for every new file.
        flush: flush the content to the disk before the file is renamed, so that it also survives a crash of the machine.
    """
    draft = path.with_name(f".{path.name[:60]}.{secrets.token_hex(6)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _first(mode)), "wb") as file:  # noqa: PTH123
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> None:
    """Create the folder ``path`` and the missing folders above it, all with the mode 0700. ``Path.mkdir`` would use this
    mode only for ``path`` itself. Existing folders keep their mode. Raises OSError when a folder cannot be created.
    """
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def _first(mode: int | None) -> int:
    """Return the permissions with which the temporary file is created. If ``mode`` is given, only the owner may open
    the file until ``mode`` is applied.
    """
    return 0o666 if mode is None else OWNER_ONLY
