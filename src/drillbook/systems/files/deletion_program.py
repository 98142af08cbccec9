"""Program that deletes a file or a folder on a host. If possible, it first renames the file or folder. A partly deleted
folder then never exists at the original path.

It uses only the standard library of Python 3.7 or later. It is run from standard input, like ``survey_program``.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from typing import Any

MOUNTS = "/proc/self/mountinfo"


def mounted(path: bytes) -> str:
    """Return the first mount point that is ``path`` or below ``path``. The result is empty if no file system is mounted
    there.
    """
    real = os.path.realpath(path)
    try:
        with open(MOUNTS, "rb") as lines:  # noqa: PTH123
            points = [_plain(line.split()[4]) for line in lines]
    except OSError:
        return ""
    return next((os.fsdecode(point) for point in points if point == real or point.startswith(real.rstrip(b"/") + b"/")), "")


def _plain(field: bytes) -> bytes:
    """Decode the octal escapes in a field of /proc/PID/mountinfo; see proc_pid_mountinfo(5)."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


def lose(path: bytes, lost: bytes) -> dict[str, Any]:
    """Move ``path`` to ``lost``, and delete it there.

    If ``path`` cannot be moved, it is deleted in place. During this deletion, an empty folder ``lost`` shows that the deletion
    is unfinished.
    """
    point = "" if os.path.islink(path) else mounted(path)  # noqa: PTH114
    if point:
        return {"refused": f"a file system is mounted on {point}"}
    rest = lost
    try:
        os.rename(path, lost)  # noqa: PTH104
    except OSError as error:
        if error.errno != errno.EXDEV:  # EXDEV: a folder in a lower layer of overlayfs, which cannot be moved
            return {"refused": str(error.strerror)}
        os.mkdir(lost, 0o700)  # noqa: PTH102
        rest = path
    done = subprocess.run(["rm", "-rf", "--one-file-system", "--", rest], stderr=subprocess.PIPE, check=False)
    if done.returncode == 0 and rest == path:
        os.rmdir(lost)  # noqa: PTH106
    said = done.stderr.decode("utf-8", "replace").strip()[-600:]
    return {"left": os.fsdecode(rest) if done.returncode else "", "said": said}


def main(path: str, lost: str) -> None:
    """Delete ``path``, and print facts as JSON.

    Facts: ``refused`` (reason why the deletion was refused), ``left`` (path of the remaining files), ``said`` (output of
    rm).
    """
    answer = {"refused": "", "left": "", "said": "", **lose(os.fsencode(path), os.fsencode(lost))}
    json.dump(answer, sys.stdout)
