"""Commands with which a person unpacks an archive without Drillbook."""

from __future__ import annotations

from drillbook.sdk import manual_move
from drillbook.sdk.manual_restore import DONE, Block, Files, ManualRestore, fetched

_UNPACK = f'mkdir "${{folder:?}}/data" && tar -xpf "$backup" -C "$folder/data" --numeric-owner && {DONE}'


def blocks(manual: ManualRestore, files: Files) -> list[Block]:
    """Return the commands that unpack an archive into the folder `data`."""
    before, lines = fetched(manual, files)
    return [*before, manual.block(*lines, _UNPACK, 'ls -l "${folder:?}/data"')]


def move(manual: ManualRestore) -> list[Block]:
    """Return the commands that put the unpacked folder in the place of the service's folder."""
    return manual_move.swapped(manual, *manual_move.found_folder(manual), restored='"${folder:+$restored}"')
