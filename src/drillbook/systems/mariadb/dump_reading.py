"""Reads an SQL dump of mariadb-dump or mysqldump to its end, finds its sections, and checks its last line.

Many backup jobs lose the exit status of the dump program, for example in a pipe to a compressor. So they do not notice that
a dump is incomplete. But an incomplete dump lacks the last line, which the dump program writes after everything else.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from drillbook.findings import Finding, finding

# Print the lines that begin a section, and the last nonempty line; rows and statements are shortened to the name of their
# table. Print the collations of databases, tables, columns and of the sessions that make views, routines, triggers and events;
# the bodies of these may contain any lines. Values are on lines that begin otherwise, because a dump quotes their line ends.
SECTIONS = r"""
/\x00/{s/.*/zero bytes/p;d;}
$!{/^(/{h;d;};}
s/^\(INSERT [A-Z ]*INTO `[^`]*`\).*/\1/p
s/^\(REPLACE INTO `[^`]*`\).*/\1/p
/^DELIMITER ;;/,/^DELIMITER ;$/b sections
/^  `/b unquote
/^) ENGINE=/b unquote
/^CREATE DATABASE /b unquote
/^ALTER DATABASE /b unquote
/^\/\*![0-9]* SET collation_connection *= [A-Za-z0-9_]* \*\//b unquote
b sections
:unquote
h
t begin
:begin
s/^\([^'`]*\)'[^']*'/\1/
t begin
s/^\([^'`]*\)`[^`]*`/\1/
t begin
s/.*COLLATE[ =]\([A-Za-z0-9_][A-Za-z0-9_]*\).*/collation \1/p
s/.* SET collation_connection *= \([A-Za-z0-9_]*\) .*/collation \1/p
s/.*CHARACTER SET \([A-Za-z0-9_][A-Za-z0-9_]*\).*/charset \1/p
s/.*CHARSET=\([A-Za-z0-9_][A-Za-z0-9_]*\).*/charset \1/p
g
:sections
/^) ENGINE=/{h;s/^) ENGINE=\([A-Za-z0-9_]*\).*/engine \1/p;g;}
/^-- MariaDB dump /p
/^-- MySQL dump /p
/^-- Host: /p
/^-- Server version/p
/^-- Current Database: /p
/^-- Table structure for table /p
/^-- Sequence structure for /p
/^-- Temporary table structure for view /p
/^-- Dumping data for table /p
/^-- Dumping routines for database /p
/^-- Dumping events for database /p
/^-- insufficient privileges to /p
/^-- failed on view /p
/[^[:space:]]/h
$ {g;s/^\(.\{0,200\}\).*/\1/;s/^/last /p;}
"""
# SECTIONS: read the beginning of a dump from standard input.
BEGIN = 'LC_ALL=C sed -n "$1" | uniq -c'
# FILE STATUSES SECTIONS UNPACKER: read a dump.
CHECK = """
file=$1 statuses=$2 sections=$3 unpacker=$4
# shellcheck disable=SC2086 # the words of a command
{ $unpacker < "$file"; echo "unpacker $?" > "$statuses"; } | LC_ALL=C sed -n "$sections" | uniq -c
cat -- "$statuses"
"""
# FILE STATUSES SECTIONS UNPACKER AFTER CLIENT...: read a dump and pipe it to the client; the statements in the file AFTER
# follow in the same session. The whole dump is read, even if the client exits early.
LOAD = """
file=$1 statuses=$2 sections=$3 unpacker=$4 after=$5
shift 5
: > "$statuses"
# shellcheck disable=SC2086 # the words of a command
{
  {
    { $unpacker < "$file"; echo "unpacker $?" >> "$statuses"; } | tee /dev/fd/5
    printf '\\n;\\n'
    cat -- "$after"
  } | { "$@" >/dev/null; echo "client $?" >> "$statuses"; cat > /dev/null; }
} 5>&1 | LC_ALL=C sed -n "$sections" | uniq -c
cat -- "$statuses"
"""
ELSEWHERE = ("mrg_myisam", "mrg_isam", "connect", "oqgraph", "spider", "vp", "federated")
"""Storage engines whose rows are elsewhere, and which the dump program therefore leaves out (`--no-data-med`). Source:
https://mariadb.com/kb/en/mariadb-dump/.
"""
DONE = "-- Dump completed"
"""First words of the last line of a complete dump."""


@dataclass(slots=True)
class Reading:
    """Result of reading a dump: exit statuses of the programs, databases, tables, sections of rows, and the last line."""

    unpacker: int = 1
    client: int | None = None
    last: str = ""
    header: str = ""
    server: str = ""
    databases: set[str] = field(default_factory=set)
    tables: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    """Tables, views and sequences that the dump creates, each with its database."""
    current: str = ""
    """Database of the section that was read last."""
    filled: set[str] = field(default_factory=set)
    """Tables with a section of rows in the dump. The section may be empty."""
    rows: Counter[str] = field(default_factory=Counter)
    """Number of INSERT statements for each table."""
    defined: dict[str, str] = field(default_factory=dict)
    """Storage engine of each table of which the dump has the definition. The names contain the database, such as ``shop.orders``."""
    held: set[str] = field(default_factory=set)
    """Tables with a section of rows, as in ``filled``, each with its database."""
    sections: set[str] = field(default_factory=set)
    """Names of the other sections that the dump has: ``routines``, ``events``."""
    collations: set[str] = field(default_factory=set)
    """Names of the collations that databases, tables, columns, views, routines, triggers and events use."""
    character_sets: set[str] = field(default_factory=set)
    """Names of the character sets of databases, tables and columns, if the dump states no collation for these."""
    failures: list[str] = field(default_factory=list)
    """Comments of the dump program about objects that it omitted."""
    zeros: bool = False
    """True when the file contains bytes of value zero. An intact dump contains none, since the dump program escapes them."""
    said: str = ""
    """Error messages of the programs."""

    @classmethod
    def of(cls, text: str, said: str) -> Reading:
        """Parse the output of the script ``CHECK`` or ``LOAD``. ``said``: error messages of the script's programs."""
        reading = cls(said=said)
        for line in text.splitlines():
            if match := re.fullmatch(r"(unpacker|client) (\d+)", line):
                setattr(reading, match[1], int(match[2]))
            elif match := re.fullmatch(r" *(\d+) (.*)", line):
                reading._take(match[2], int(match[1]))
        return reading

    def full(self, quoted: str) -> str:
        """Return the name of a table with the database of the section that was read last."""
        return f"{self.current}.{quoted}".replace("``", "`")

    def _take(self, line: str, count: int) -> None:
        for pattern, take in _LINES:
            if match := re.match(pattern, line):
                take(self, match, count)
                return

    def problems(self, name: str, host: str, wanted: str) -> list[Finding]:
        """Return a finding if the dump is incomplete, or if it lacks a database. ``wanted``: name of the required
        database. Return an empty list for a good dump.
        """
        for code, expected, measured in (self._damage(), self._content(), self._origin(wanted)):
            if code:
                return [finding(code, title=name, wanted=expected, measured=measured, host=host)]
        return []

    @property
    def completed(self) -> str:
        """Local time in the last line of a complete dump. It is empty if the line has none, as with ``--skip-dump-date``."""
        return self.last.removeprefix(DONE).strip().removeprefix("on ") if self.last.startswith(DONE) else ""

    def _damage(self) -> tuple[str, str, str]:
        whole = f"the last line of the dump begins with `{DONE}`"
        if self.unpacker:
            return (
                "backup-damaged",
                "the file can be decompressed to its end",
                self.said or f"the decompression program ended with status {self.unpacker}",
            )
        if not self.last:
            return "backup-empty", whole, "no line"
        if not self.last.startswith(DONE):
            return "backup-damaged", whole, f"the last line is: {self.last}"
        if not self.header:
            return "backup-damaged", "a dump with the header lines of mariadb-dump", "the header lines are missing"
        if self.zeros:
            said = "the dump contains bytes of value zero; a file system may leave such bytes after a crash"
            return "backup-damaged", "the dump contains only text", said
        return "", "", ""

    def _content(self) -> tuple[str, str, str]:
        if self.failures:
            return "backup-incomplete", "the dump contains all objects", "; ".join(self.failures[:5])
        if self.rows and not self.tables:
            return "backup-incomplete", "tables and rows", "rows without the definitions of their tables"
        if not self.rows:
            sections = (
                f"{len(self.filled)} of them with a section for rows"
                if self.filled
                else "none of them with a section for rows"
            )
            return "backup-empty", "rows", f"no row; the dump has {len(self.tables)} tables, {sections}"
        return "", "", ""

    def _origin(self, wanted: str) -> tuple[str, str, str]:
        if wanted and wanted not in self.databases:
            return "backup-of-another", wanted, ", ".join(sorted(self.databases)) or "no name of a database"
        return "", "", ""

    def without_data(self) -> list[str]:
        """Return the tables, each with its database, whose rows an option such as `--ignore-table-data` left out. Tables of the server
        itself and of engines that keep their rows elsewhere are left out: the dump program never writes their rows.
        """
        own = {name for name, engine in self.defined.items() if engine.casefold() not in ELSEWHERE}
        return sorted(name for name in own - self.held if not name.startswith("mysql."))

    def without_rows(self) -> list[str]:
        """Return the tables without a section of rows in the dump. The option `--ignore-table-data` of mariadb-dump leaves out
        this section for a table.
        """
        return sorted({table for table in self.tables if table not in self.filled})


def _database(reading: Reading, match: re.Match[str], _: int) -> None:
    reading.current = match[1].strip()
    reading.databases |= {name for name in (reading.current,) if name}


def _table(reading: Reading, match: re.Match[str], _: int) -> None:
    reading.named.add(reading.full(match[2]))
    if match[1] == "Table structure for table":
        reading.tables.append(match[2])
        reading.defined[reading.full(match[2])] = ""


def _engine(reading: Reading, match: re.Match[str], _: int) -> None:
    if reading.defined:
        reading.defined[next(reversed(reading.defined))] = match[1]


def _filled(reading: Reading, match: re.Match[str], _: int) -> None:
    reading.filled.add(match[1])
    reading.held.add(reading.full(match[1]))


_LINES: tuple[tuple[str, Any], ...] = (
    (r"last (.*)", lambda reading, match, _: setattr(reading, "last", match[1])),
    (r"-- ((?:MariaDB|MySQL) dump .*)", lambda reading, match, _: setattr(reading, "header", match[1])),
    (r"-- Host: .*?Database: (.*)", _database),
    (r"-- Server version\s+(?:5\.5\.5-)?(.*)", lambda reading, match, _: setattr(reading, "server", match[1])),
    (r"-- Current Database: `(.*)`", _database),
    (r"-- (Table structure for table|Sequence structure for|Temporary table structure for view) `(.*)`", _table),
    (r"-- Dumping data for table `(.*)`", _filled),
    (r"engine (.*)", _engine),
    (r"-- Dumping (routines|events) for", lambda reading, match, _: reading.sections.add(match[1])),
    (
        r"-- ((?:insufficient privileges|failed on view).*)",
        lambda reading, match, _: reading.failures.append(match[1][:200]),
    ),
    (r"(?:INSERT|REPLACE) .*", lambda reading, match, count: reading.rows.update({match[0]: count})),
    (r"collation (.*)", lambda reading, match, _: reading.collations.add(match[1])),
    (r"charset (.*)", lambda reading, match, _: reading.character_sets.add(match[1])),
    (r"zero bytes", lambda reading, match, _: setattr(reading, "zeros", True)),
)
