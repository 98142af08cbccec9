"""The program that goes to a folder on a host step by step, and runs a command there.

A folder that is held by a descriptor stays the same one, whatever others put in its place meanwhile. Links are followed
where root or this user made them, and nobody else. Standard library only, Python 3.7 or later.
"""

from __future__ import annotations

import os
import stat
import sys

MOST_LINKS = 40
REFUSED, NOT_THERE = 96, 95
"""Exit status of this program when it did not run the command."""


class Refused(Exception):
    """Somebody else could lead this elsewhere."""


def entered(path: str) -> int:
    """A descriptor of the folder ``path``. Raises Refused, OSError."""
    here, left, links = os.open("/", os.O_PATH), [part for part in path.split("/") if part][::-1], 0
    while left:
        part = left.pop()
        found = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
        state = os.fstat(found)
        if not stat.S_ISLNK(state.st_mode):
            os.close(here)
            here = found
            continue
        links += 1
        if state.st_uid not in (0, os.geteuid()) or links > MOST_LINKS:
            raise Refused(f"{part} in {path} is a link that another user made")
        target = os.readlink("", dir_fd=found)
        os.close(found)
        if target.startswith("/"):
            os.close(here)
            here = os.open("/", os.O_PATH)
        left += [one for one in target.split("/") if one][::-1]
    return here


def own(folder: int, identity: str) -> None:
    """Raise Refused unless the folder is the one that this user made, with nobody else in it."""
    state = os.fstat(folder)
    ours = state.st_uid == os.geteuid() and stat.S_IMODE(state.st_mode) & 0o77 == 0
    if not ours or f"{state.st_dev}:{state.st_ino}" != identity:
        raise Refused("somebody else put another folder in its place")


def main(path: str, identity: str, *argv: str) -> None:
    """Run ``argv`` in the folder ``path``, which with an ``identity`` must be exactly that one."""
    try:
        folder = entered(path)
        if identity:
            own(folder, identity)
        os.fchdir(folder)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")
        sys.exit(NOT_THERE)
    os.execvp(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
