"""Kernel data of all processes; a process that ends in the meantime is no error."""

from collections.abc import Iterator
from pathlib import Path


def entries(name: str) -> Iterator[Path]:
    """The file `/proc/PID/NAME` of every process there is; reading it may fail.

    `glob("[0-9]*/NAME")` asks if each is there, which raises ProcessLookupError for one that is just ending.
    """
    return (entry / name for entry in Path("/proc").glob("[0-9]*"))
