"""Random parts of names on a host. Rules of sudo recognise them by their mark; see ``hosts.sudoers.pattern``."""

from __future__ import annotations

import secrets

MARK = "~"
"""Character before the random digits."""


def fresh(digits: int) -> str:
    """Return MARK and new random hexadecimal digits. ``digits``: number of digits, which must be even."""
    return f"{MARK}{secrets.token_hex(digits // 2)}"
