"""Commands with which a person, without Drillbook, restores a copy of an SQLite database."""

from __future__ import annotations

from dataclasses import replace

from drillbook.sdk.manual_restore import Block, Files, ManualRestore, fetched

_COPY = 'mkdir "${folder:?}/data" && cp -- "${backup:?}"* "$folder/data/"'
_EXAMINE = (
    """python3 -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("PRAGMA integrity_check"))' """
    '"${folder:?}/data/${backup##*/}"'
)


def blocks(manual: ManualRestore, files: Files) -> list[Block]:
    """Return the commands that copy a database with its log into the folder `data`, and verify it."""
    before, lines = fetched(manual, replace(files, beside="*"))
    return [*before, manual.block(*lines, _COPY, f"{_EXAMINE}   # prints: ('ok',)")]
