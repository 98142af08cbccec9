"""The account that runs this process, as the kernel reports it; environment variables such as USER are not trusted."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

LOGIN = Path("/proc/self/loginuid")
"""File with the uid of the login user, which ``sudo`` and ``su`` do not change; only on Linux with audit."""
UNSET = 2**32 - 1
SEPARATOR = " for "


def name(uid: int | None = None) -> str:
    """Name of the account ``uid``, by default that of this process; the number when the account has no name."""
    number = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def names() -> tuple[str, ...]:
    """Names of this process's account and of the account that logged in, which ``sudo`` does not change."""
    numbers = [os.getuid()]
    with suppress(OSError, ValueError):
        logged_in = int(LOGIN.read_text(encoding="ascii"))
        numbers += [logged_in] if logged_in != UNSET else []
    return tuple(dict.fromkeys(map(name, numbers)))


def told() -> str:
    """Text for the record of a run that names the accounts of this process, such as ``root for alice (uid 0)`` after ``sudo``."""
    return f"{SEPARATOR.join(names())} (uid {os.getuid()})"


def of(text: str) -> tuple[str, ...]:
    """Names of the accounts in a text that ``told`` returned."""
    return tuple(filter(None, text.partition(" (uid ")[0].split(SEPARATOR)))
