"""Foreign keys of a restored table. A foreign key is restored even if rows in the tables violate it. The key is then added
without a check of these rows.

The rows of the other tables are newer than the backup. Some of them may refer to a row that the backup lacks. If all rows
were checked, the first such row would abort the whole restore of the table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from drillbook.systems.postgres.connection import Connection
from drillbook.systems.postgres.tables import Name

UNCHECKED = "unchecked"
"""Name of a file on the host. The file lists the foreign keys that were restored without a check of the rows in the database.
"""
_LINE = re.compile(r"\d+; \d+ \d+ FK CONSTRAINT ")
_ADDED = re.compile(r"^ALTER TABLE (?:ONLY )?([^\n]+)\n    ADD CONSTRAINT ([^\n]+) FOREIGN KEY [^\n]+;$", re.MULTILINE)
_TOLERANT = """DO $drillbook$ BEGIN
  EXECUTE $key${statement}$key$;
EXCEPTION WHEN foreign_key_violation THEN
  EXECUTE $key${statement} NOT VALID$key$;
  PERFORM pg_catalog.set_config('drillbook.unchecked', pg_catalog.concat(
    pg_catalog.current_setting('drillbook.unchecked', true), $key${name}$key$, pg_catalog.chr(10)), true);
END $drillbook$;"""
_PARTITIONED = """
SELECT r.conrelid::pg_catalog.regclass::text FROM pg_catalog.pg_constraint r JOIN pg_catalog.pg_class c ON c.oid = r.conrelid
WHERE r.contype = 'f' AND r.conparentid = 0 AND c.relkind = 'p' AND r.confrelid = pg_catalog.to_regclass(%s) ORDER BY 1
"""
_NOT_VALID_OF_PARTITIONED = 180000
"""First version of the server that can add a foreign key to a partitioned table without a check of the rows (NOT VALID)."""


def split(lines: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split the list of an archive at its first foreign key. Return the lines before the first foreign key, and the
    remaining lines. The remaining lines contain no rows of tables.
    """
    first = next((index for index, line in enumerate(lines) if _LINE.match(line)), len(lines))
    return lines[:first], lines[first:]


def tolerant(script: str) -> str:
    """Change a ``script`` of pg_restore, and return the new script. The new script adds a foreign key even when present
    rows violate it.

    The server checks new rows against such a key. The script lists the names of these keys in ``drillbook.unchecked``, a
    setting of the transaction, with one name in each line.
    """

    def changed(match: re.Match[str]) -> str:
        if "$key$" in match[0] or "$drillbook$" in match[0] or match[0].endswith(" NOT VALID;"):
            return match[0]
        return _TOLERANT.format(statement=match[0].removesuffix(";"), name=f"{match[2]} of {match[1]}")

    return _ADDED.sub(changed, script)


def unrestorable(session: Connection, table: Name) -> str:
    """Return the reason why a foreign key of another table, which references ``table``, could not be restored together with
    ``table``. Return an empty text if all these foreign keys could be restored.

    Raises psycopg.Error.
    """
    if session.info.server_version >= _NOT_VALID_OF_PARTITIONED:
        return ""
    tables = [name for (name,) in session.execute(_PARTITIONED, (table.quoted,)).fetchall()]
    return (
        (
            f"the partitioned table {tables[0]} has a foreign key to {table}, and this foreign key could not be "
            "restored with the table"
        )
        if tables
        else ""
    )
