"""The program that deletes a file or a folder on a host: out of its place in one step, so that it is never half there.

Standard library only, Python 3.7 or later, read from standard input as ``tree.py`` is.
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
    """The first file system that is mounted on ``path`` or below it, empty when there is none."""
    real = os.path.realpath(path)
    try:
        with open(MOUNTS, "rb") as lines:  # noqa: PTH123
            points = [_plain(line.split()[4]) for line in lines]
    except OSError:
        return ""
    return next((os.fsdecode(point) for point in points if point == real or point.startswith(real.rstrip(b"/") + b"/")), "")


def _plain(field: bytes) -> bytes:
    """A field of mountinfo without its octal escapes, see proc_pid_mountinfo(5)."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field)


def lose(path: bytes, lost: bytes) -> dict[str, Any]:
    """Delete ``path`` by way of ``lost``: it is moved there first, or only marked there where nothing can be moved."""
    point = "" if os.path.islink(path) else mounted(path)  # noqa: PTH114
    if point:
        return {"refused": f"a file system is mounted on {point}"}
    rest = lost
    try:
        os.rename(path, lost)  # noqa: PTH104
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder of a lower layer of overlayfs cannot be moved
            return {"refused": str(error.strerror)}
        os.mkdir(lost, 0o700)  # noqa: PTH102
        rest = path
    done = subprocess.run(["rm", "-rf", "--one-file-system", "--", rest], stderr=subprocess.PIPE, check=False)
    if done.returncode == 0 and rest == path:
        os.rmdir(lost)  # noqa: PTH106
    said = done.stderr.decode("utf-8", "replace").strip()[-600:]
    return {"left": os.fsdecode(rest) if done.returncode else "", "said": said}


def main(path: str, lost: str) -> None:
    """Print, as JSON: why nothing was touched (``refused``), or what is ``left`` and what ``rm`` said."""
    answer = {"refused": "", "left": "", "said": "", **lose(os.fsencode(path), os.fsencode(lost))}
    json.dump(answer, sys.stdout)
