"""Reads the first bytes of a backup file where it is stored, and decompresses them."""

from __future__ import annotations

import lzma
import zlib
from contextlib import suppress

from drillbook.errors import DrillbookError
from drillbook.sdk.action import Context
from drillbook.sdk.backup_places import Place
from drillbook.sdk.encryption import SUFFIX


def first_bytes(ctx: Context, place: Place, name: str, limit: int) -> bytes:
    """Return up to ``limit`` decompressed bytes from the beginning of the file ``name``.

    The result is empty if the file cannot be read, is encrypted, or its location only reads whole files.
    """
    if name.endswith(SUFFIX):
        return b""
    with suppress(DrillbookError, OSError):
        return unpacked(place.beginnings(ctx, [name], limit).get(name, b""), limit)
    return b""


def unpacked(head: bytes, limit: int) -> bytes:
    """Decompress the first bytes of a file. Return them unchanged if the standard library does not support their compression."""
    with suppress(zlib.error, lzma.LZMAError, EOFError):
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(head, limit)
        if head.startswith(b"\xfd7zXZ"):
            return lzma.LZMADecompressor().decompress(head, limit)
    return head
