"""The account that runs this process, as the kernel tells it: no variable of its environment is asked."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

LOGIN = Path("/proc/self/loginuid")
"""The user who logged in, which survives ``sudo`` and ``su``; Linux with audit alone has it."""
UNSET = 2**32 - 1
SEPARATOR = " for "


def name(uid: int | None = None) -> str:
    """Name of the account with ``uid``, by default of this process; its number where it has no name."""
    number = os.getuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def names() -> tuple[str, ...]:
    """Names of all accounts that this process runs for: its own, and the one that logged in before any ``sudo``."""
    numbers = [os.getuid()]
    with suppress(OSError, ValueError):
        logged_in = int(LOGIN.read_text(encoding="ascii"))
        numbers += [logged_in] if logged_in != UNSET else []
    return tuple(dict.fromkeys(map(name, numbers)))


def told() -> str:
    """The accounts, and the number of the first, for the record of a run: such as ``root for alice (uid 0)``."""
    return f"{SEPARATOR.join(names())} (uid {os.getuid()})"


def of(text: str) -> tuple[str, ...]:
    """Names in a record that ``told`` made."""
    return tuple(filter(None, text.partition(" (uid ")[0].split(SEPARATOR)))
