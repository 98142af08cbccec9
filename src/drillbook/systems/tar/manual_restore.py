"""Commands with which a person unpacks an archive without Drillbook."""

from __future__ import annotations

from drillbook.sdk.manual_restore import Block, Files, ManualRestore, fetched

_UNPACK = 'mkdir "${folder:?}/data" && tar -xpf "$backup" -C "$folder/data" --numeric-owner'


def blocks(manual: ManualRestore, files: Files) -> list[Block]:
    """Return the commands that unpack an archive into the folder `data`."""
    before, lines = fetched(manual, files)
    return [*before, manual.block(*lines, _UNPACK, 'ls -l "${folder:?}/data"')]
