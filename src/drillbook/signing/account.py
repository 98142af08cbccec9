"""The account that runs this process, as the kernel reports it. Environment variables such as USER are not trusted."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

LOGIN = Path("/proc/self/loginuid")
"""File with the uid of the login user. ``sudo`` and ``su`` do not change this uid.

The file exists only on Linux with audit.
"""
UNSET = 2**32 - 1
SEPARATOR = " for "


def name(uid: int | None = None) -> str:
    """Return the name of the account ``uid``, by default of the account of this process.

    Return the number when the account has no name.
    """
    number = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def names() -> tuple[str, ...]:
    """Return the names of this process's account and of the account that logged in.

    ``sudo`` does not change the second name.
    """
    numbers = [os.getuid()]
    with suppress(OSError, ValueError):
        logged_in = int(LOGIN.read_text(encoding="ascii"))
        numbers += [logged_in] if logged_in != UNSET else []
    return tuple(dict.fromkeys(map(name, numbers)))


def told() -> str:
    """Return a text about the accounts of this process, for the record of a run.

    After ``sudo``, it is for example ``root for alice (uid 0)``.
    """
    return f"{SEPARATOR.join(names())} (uid {os.getuid()})"


def of(text: str) -> tuple[str, ...]:
    """Return the names of the accounts in a text that ``told`` returned."""
    return tuple(filter(None, text.partition(" (uid ")[0].split(SEPARATOR)))
