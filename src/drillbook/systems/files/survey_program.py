"""Program that surveys a file or a folder on a host. It reads type, permissions, owner, attributes and content of every
entry.

It uses only the standard library of Python 3.7 or later. ``host_programs`` sends this file through standard input, with a
line that calls ``main``. In names, a backslash is shown as ``\\\\``, and a byte that is not UTF-8 as ``\\xHH``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

CHUNK = 1 << 20
WORKERS = 4
SMALL = 128 << 10
"""Largest size in bytes of a file that the main thread reads. Larger files are read by other threads, at most
``WORKERS`` at a time.
"""
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFSOCK: "socket",
}
NOT_CARRIED = ("security.selinux", "security.ima", "security.evm")
"""Extended attributes that each host sets by its own policy. A comparison ignores them."""


def shown(name: bytes) -> str:
    """Return a file name, given in bytes, as text. Different names always have different texts."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


class Survey:
    """Survey of a file or a folder. It contains type, permissions, owner, attributes and content of each entry below it."""

    def __init__(self, root: bytes, ignored: bytes) -> None:
        """Prepare a survey of the file or folder ``root``. Entries whose name contains the text ``ignored`` are left out."""
        self.root, self.ignored = root, ignored
        self.entries: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = []
        self.sockets: list[str] = []
        self.first: dict[tuple[int, int], str] = {}
        self.changed: dict[str, float] = {}
        self.pool = ThreadPoolExecutor(WORKERS)
        self.reading: list[tuple[str, Future[tuple[int, str]]]] = []

    def whole(self) -> None:
        """Examine the file or folder and everything below it. Returns when all files are read."""
        with self.pool:
            self.look(self.root, b".")
        for name, reading in self.reading:
            try:
                self.entries[name]["size"], self.entries[name]["sha256"] = reading.result()
            except OSError as error:
                self.problems.append(f"{name}: {error.strerror}")
                del self.entries[name]

    def look(self, path: bytes, name: bytes) -> None:
        """Examine an entry and everything below it. Errors are added to ``problems``."""
        try:
            self.entry(path, shown(name))
            if stat.S_ISDIR(os.lstat(path).st_mode):
                for below in sorted(os.listdir(path)):  # noqa: PTH208  paths are bytes, which pathlib does not support
                    if not (self.ignored and self.ignored in below):
                        self.look(path + b"/" + below, below if name == b"." else name + b"/" + below)
        except OSError as error:
            self.problems.append(f"{shown(name)}: {error.strerror}")

    def entry(self, path: bytes, name: str) -> None:
        """Examine the file or folder ``path`` itself, but nothing below it."""
        status = os.lstat(path)
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        if kind == "socket":
            self.sockets.append(name)
            return
        entry: dict[str, Any] = {
            "type": kind,
            "mode": f"{stat.S_IMODE(status.st_mode):04o}",
            "uid": status.st_uid,
            "gid": status.st_gid,
            "mtime": int(status.st_mtime),
            "xattrs": attributes(path),
        }
        if kind == "link":
            entry["target"] = shown(os.readlink(path))  # noqa: PTH115  a path of bytes, which pathlib does not support
        elif kind == "device":
            entry["target"] = f"{stat.S_IFMT(status.st_mode):o} {status.st_rdev}"
        elif kind == "file":
            if status.st_size > SMALL:
                self.reading.append((name, self.pool.submit(content, path)))
            else:
                entry["size"], entry["sha256"] = content(path)
        if kind != "folder" and status.st_nlink > 1:
            first = self.first.setdefault((status.st_dev, status.st_ino), name)
            entry["same_as"] = first if first != name else None
        self.entries[name] = entry
        self.changed[name] = status.st_ctime


def attributes(path: bytes) -> dict[str, str]:
    """Return the extended attributes of a file. The values are in base64."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {
        name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode()
        for name in sorted(names)
        if name not in NOT_CARRIED
    }


def content(path: bytes) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 of a file."""
    size, digest = 0, hashlib.sha256()
    with open(path, "rb", opener=_opened) as file:
        for data in iter(lambda: file.read(CHUNK), b""):
            size += len(data)
            digest.update(data)
    return size, digest.hexdigest()


def _opened(path: Any, flags: int) -> int:
    """Open the file ``path``, which the survey has found. Raises OSError if ``path`` is now a symbolic link, for example
    because another user has replaced the file by a link."""
    return os.open(path, flags | os.O_NOFOLLOW)


def main(path: str, ignored: str, changes: str = "") -> None:
    """Print the survey of ``path`` as JSON. ``missing`` is true when the path does not exist.

    When ``changes`` is not empty, also print ``changed``: the change time (ctime) of each entry, by this host's clock.
    """
    root = os.fsencode(path)
    survey = Survey(root, os.fsencode(ignored))
    if os.path.lexists(root):
        survey.whole()
    json.dump(
        {
            "missing": not os.path.lexists(root),
            "entries": survey.entries,
            "problems": survey.problems,
            "sockets": survey.sockets,
            **({"changed": survey.changed} if changes else {}),
        },
        sys.stdout,
    )
