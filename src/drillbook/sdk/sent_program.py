"""Programs that are sent to a host through standard input.

The command that starts such a program has the length and the digest of the program as arguments. So a rule of sudo for exactly
this command allows this program and no other.
"""

from __future__ import annotations

import hashlib

# LENGTH SHA256 ARGUMENTS...: run the program at the beginning of standard input. The rest is left to the program, which has to
# read it through `sys.stdin`.
_PYTHON = (
    "import hashlib,sys; p=sys.stdin.buffer.read(int(sys.argv[1])); "
    "hashlib.sha256(p).hexdigest()==sys.argv[2] or sys.exit('drillbook: standard input is another program'); "
    "del sys.argv[1:3]; exec(p)"
)
# The same for a shell program. dd takes one byte at a time, and leaves the rest unread.
_SHELL = (
    'p=$(dd bs=1 count="$1" 2>/dev/null); case $(printf %s "$p" | sha256sum) in "$2 "*) ;; '
    "*) echo 'drillbook: standard input is another program' >&2; exit 126;; esac; shift 2; eval \"$p\""
)


def python(program: bytes) -> tuple[str, ...]:
    """Return the beginning of the command that runs a Python program from standard input. The caller appends its
    arguments.
    """
    return ("python3", "-I", "-c", _PYTHON, *_named(program))


def shell(program: bytes) -> tuple[str, ...]:
    """Return the beginning of the command that runs a shell program from standard input. The caller appends its arguments.

    The host needs sha256sum. Raises ValueError when ``program`` ends with a newline, because a shell variable cannot store
    a newline at the end.
    """
    if program.endswith(b"\n"):
        raise ValueError("the shell program must not end with a newline")
    return ("sh", "-c", _SHELL, "sh", *_named(program))


def _named(program: bytes) -> tuple[str, str]:
    return str(len(program)), hashlib.sha256(program).hexdigest()
