"""Drops the rights of root. PostgreSQL refuses to run as root, so a lab that root starts runs under another identity.
There are three modes:

``userns``   The whole daemon runs in a user namespace as uid 65534. Outside the namespace it remains root. Files below
             root's home (mode 0700) stay readable, and no file changes its owner. Most containers forbid this mode.
``ambient``  The daemon runs as uid 65534. It has CAP_DAC_OVERRIDE as an ambient capability, so that it can also read the
             files below root's home.
``same``     The daemon keeps the identity of the caller.

When run as a program, this module takes on the identity of a mode, and then executes another module:
``python -m drillbook.lab.identity MODE FOLDER run|detach MODULE ARGUMENT...``
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from drillbook.errors import LabError

MODES = ("userns", "ambient", "same")
CHOICE = "DRILLBOOK_LAB_IDENTITY"
"""Environment variable that selects the identity of the lab: one of ``MODES``, or ``auto``."""

NOBODY = 65534  # this user must be in /etc/passwd: initdb looks it up
_CLONE_NEWUSER = 0x10000000
_PR_SET_KEEPCAPS, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 28, 47, 2
_NO_SETUID_FIXUP, _KEEP_CAPS = 1 << 2, 1 << 4
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def assume(mode: str, folder: Path) -> str:
    """Change the identity of this process according to ``mode``, and return the mode. For the value ``auto``, choose the best
    mode that works.

    Call this before starting threads.
    """
    if mode == "auto":
        mode = "same" if os.geteuid() != 0 else "userns" if _namespace_works() else "ambient"
    if mode == "userns":
        _enter_namespace()
    elif mode == "ambient":
        _own(folder)
        _drop_root()
    elif mode != "same":
        raise LabError(f"unknown identity {mode!r} in {CHOICE}", hint="one of " + ", ".join(MODES))
    return mode


def _namespace_works() -> bool:
    """Return True when a user namespace works.

    This is tested in a child process, because a process cannot leave its namespace.
    """
    child = os.fork()
    if child == 0:
        try:
            _enter_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _enter_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")


def _own(folder: Path) -> None:
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):  # "." is the folder itself
            os.chown(Path(parent, name), NOBODY, NOBODY, follow_symlinks=False)


def _drop_root() -> None:
    _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    # Without this bit, access(2) ignores the capability; supervisord and initdb use access(2) to find programs.
    _call("prctl", _PR_SET_SECUREBITS, _NO_SETUID_FIXUP | _KEEP_CAPS, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; low 32 bits, then high
    _call("capset", header, sets)
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
    os.environ["PYTHONDONTWRITEBYTECODE"] = (
        "1"  # otherwise the user nobody would create bytecode files in root's site-packages
    )


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def main() -> int:  # noqa: RET503  execv never returns
    """Give this process the identity that belongs to the given mode, and execute the given module. With ``detach``, the module
    runs in a new process. Return the exit status.
    """
    mode, folder, how, *rest = sys.argv[1:]
    try:
        os.environ[CHOICE] = assume(mode, Path(folder))
    except (OSError, LabError) as error:
        sys.stderr.write(f"cannot take on the identity {mode}: {error}\n")
        return 1
    if how == "detach" and os.fork() != 0:
        return 0
    os.execv(sys.executable, [sys.executable, "-P", "-m", *rest])  # noqa: S606  an argv list without a shell


if __name__ == "__main__":
    sys.exit(main())
