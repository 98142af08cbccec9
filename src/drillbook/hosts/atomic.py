"""What every way of writing a file at once has in common."""

from __future__ import annotations

import posixpath
import secrets

from drillbook.errors import HostError


def beside(path: str) -> str:
    """A new name in the folder of ``path``, so that the file can be renamed onto it in one go."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f".{name[:200]}.{secrets.token_hex(6)}")


def unreadable(host: str, path: str, error: Exception, *, verb: str) -> HostError:
    """The error for a file that could not be ``verb``."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return HostError(f"{host}: {path} cannot be {verb}: {reason}", host=host)
