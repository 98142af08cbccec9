"""Makes random parts for the names of files and folders on a host.

Each random part begins with MARK, so that rules of sudo can recognise it; see ``hosts.sudoers.pattern``.
"""

from __future__ import annotations

import secrets

MARK = "~"
"""First character of the random part of a name."""


def fresh(digits: int) -> str:
    """Return MARK and new random hexadecimal digits. ``digits``: number of digits, which must be even."""
    return f"{MARK}{secrets.token_hex(digits // 2)}"
