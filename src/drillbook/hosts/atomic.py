"""Helpers for atomic file writes, shared by all hosts."""

from __future__ import annotations

import posixpath
import secrets

from drillbook.errors import HostError


def beside(path: str) -> str:
    """Return a random path in the folder of ``path``, for a temporary file that is then renamed to ``path``."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name[:200]}.{secrets.token_hex(6)}")


def unreadable(host: str, path: str, error: Exception, *, verb: str) -> HostError:
    """Make the error for a file operation that failed; ``verb`` is its participle, such as ``read`` or ``written``."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return HostError(f"{host}: {path} cannot be {verb}: {reason}", host=host)
