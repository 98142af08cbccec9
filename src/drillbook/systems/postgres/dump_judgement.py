"""Pure functions that judge a dump after it was read. They return findings, the parts that the check covered, and the parts
that the check did not cover.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from drillbook.errors import CouldNotVerify
from drillbook.findings import Finding, finding
from drillbook.language.lists import listed
from drillbook.sdk import rows_left_out
from drillbook.sdk.backup_source import Checked
from drillbook.systems.postgres.dump_outline import Outline, outline_of
from drillbook.systems.postgres.dump_reading import Form, Reading

MOST_NAMED = 1000
"""Maximum number of tables whose row counts are listed in the facts."""
_TOOL = re.compile(
    r"unsupported version|does not support compression|cannot restore from compressed|: not found|unrecognized"
)
"""Error messages of a pg_restore that is too old for the dump or that does not support the dump's compression."""
_ABSENT = re.compile(r"could not open (?:input |TOC |large object TOC )?file|No such file")
CHECKSUMS = ("gzip",)
"""Compressions with which pg_dump stores a checksum of the content. With zstd and lz4, pg_dump stores no checksum."""


MAKE_GLOBALS = (
    "Make the file of roles with `pg_dumpall --globals-only` beside the dumps, or correct the pattern `globals` "
    "of the backup source."
)
"""Remedy when no file of roles exists."""


WHOLE_TABLES = (
    "tables that are missing in the dump together with their definitions, such as by `--exclude-table`: only a comparison of "
    "the restored copy with the service shows this"
)
"""Problem that no check of a dump alone can detect."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Findings about one dump, made from the results of reading it."""

    name: str
    host: str
    form: Form
    database: str
    """Name of the database that the dump must contain, or an empty text when the name is unknown."""
    setting: str = "`bin`"
    """Name of a field of the inventory. This field sets the folder of pg_restore, the program that has read the dump."""
    accepted: Mapping[str, str] = field(default_factory=dict)
    """Patterns of the tables whose rows may be missing in the dump. The value of each entry is the reason."""
    accepting: str = "`without_data`"
    """Name of the field of the inventory that contains ``accepted``."""

    def without_content(self) -> Checked:
        """Return the result for an empty file, or for a folder without a table of contents."""
        if self.form.format == "empty":
            problem = self._finding("backup-empty", "a dump", "a file without content")
        else:
            problem = self._finding(
                "backup-damaged", "a folder with toc.dat", "no toc.dat: pg_dump was interrupted, or still runs"
            )
        return Checked((problem,), ("the kind of its content",), (), {"format": self.form.format})

    def of(self, reading: Reading, compression: str, roles: tuple[str, ...] | None, absent: str = "") -> Checked:
        """Return the result for a dump that was read.

        ``roles``: names in the backup's file of roles, or None when the source declares no such files. ``absent``: text
        about a declared file of roles that does not exist, or an empty text.
        """
        outline = outline_of(reading.sql)
        problem = self.damage(reading) or self._emptiness(reading)
        problems = [problem] if problem else [*self.of_another(outline), *self._incomplete(outline, roles, absent)]
        problems += [] if problem else self._without_data(reading)
        return Checked(
            tuple(problems),
            ("every byte was decoded", "every row has the columns of its table", "the dump is complete to its end"),
            (*self._not_covered(outline, compression, roles), *self._not_dumped(reading)),
            {
                "format": self.form.format,
                "compression": compression,
                "server_version": outline.server,
                "databases": [made.name for made in outline.databases],
                "tables": reading.tables,
                "rows": sum(reading.rows.values()) + reading.inserts,
                "rows_by_table": dict(sorted(reading.rows.items())[:MOST_NAMED]),
                "without_data": list(reading.without_data[:MOST_NAMED]),
                "roles": list(outline.roles),
                "extensions": list(outline.extensions),
                # pg_restore writes the preamble of an archive, by its own version
                "preamble": [] if self.form.archive else list(reading.preamble),
            },
        )

    def _finding(self, code: str, wanted: str, measured: str, evidence: str = "", remedy: str = "") -> Finding:
        lines = tuple(evidence.splitlines()[:5])
        return finding(
            code, title=self.name, wanted=wanted, measured=measured, evidence=lines, remedy=remedy, host=self.host
        )

    def damage(self, reading: Reading) -> Finding | None:
        """Return a finding if the dump is damaged or incomplete.

        Raises CouldNotVerify when the host's pg_restore is too old for the dump or does not support its compression.
        """
        said = next((line for line in reading.said.splitlines() if "error" in line.lower() or ": " in line), reading.said)
        if reading.pg_restore and _TOOL.search(reading.said):
            raise CouldNotVerify(
                f"{self.host}: pg_restore cannot read the dump {self.name}: {said}",
                hint=f"set {self.setting} to the folder of a pg_restore that supports the dump's compression and is at least as "
                "new as the pg_dump that made the dump",
            )
        if reading.pg_restore and _ABSENT.search(reading.said):
            return self._finding("backup-missing", "every file that the table of contents names", said, reading.said)
        wanted = "a dump that is read to its end"
        if reading.pg_restore or reading.unpacker:
            program, status = ("pg_restore", reading.pg_restore) if reading.pg_restore else ("unpacker", reading.unpacker)
            return self._finding("backup-damaged", wanted, said or f"status {status} of the {program}", reading.said)
        if not any(line.startswith(("-- Dumped ", "-- PostgreSQL database cluster dump")) for line in reading.sql):
            wanted, measured = "a dump of pg_dump or pg_dumpall", "the file does not begin like a dump"
            return self._finding("backup-damaged", wanted, measured, "\n".join(reading.problems))
        if reading.problems:
            return self._finding("backup-damaged", wanted, reading.problems[0], "\n".join(reading.problems))
        if reading.ended == "none":
            return self._finding("backup-damaged", "a last line `PostgreSQL database dump complete`", "no such line")
        return None

    def _emptiness(self, reading: Reading) -> Finding | None:
        rows = sum(reading.rows.values()) + reading.inserts + reading.objects
        if rows:
            if reading.tables or not reading.data:
                return None
            return self._finding(
                "backup-incomplete", "the definitions of the tables", "only rows: the dump was taken with --data-only"
            )
        if not reading.tables:
            measured = "no table"
        elif not reading.data:
            measured = f"only the definitions of {reading.tables} tables: the dump was taken with --schema-only"
        else:
            measured = f"{reading.tables} tables, none of them with a row"
        return self._finding("backup-empty", "rows of tables", measured)

    def of_another(self, outline: Outline) -> list[Finding]:
        """Return a finding if the dump contains another database than the database in the inventory."""
        names = [made.name for made in outline.databases]
        if not self.database or not names or self.database in names:
            return []
        return [another(self.name, self.database, ", ".join(names), self.host)]

    def _incomplete(self, outline: Outline, roles: tuple[str, ...] | None, absent: str) -> list[Finding]:
        problems = []
        if outline.filtered:
            measured = "rows were filtered by row security, because the dump was taken with --enable-row-security"
            problems.append(self._finding("backup-incomplete", "all rows of each table", measured))
        if roles is not None and (lacking := sorted(set(outline.roles) - set(roles))):
            measured = absent or f"roles that the file of roles does not create: {', '.join(lacking[:10])}"
            remedy = MAKE_GLOBALS if absent else ""
            problems.append(self._finding("backup-incomplete", "all roles that the dump names", measured, remedy=remedy))
        return problems

    def _without_data(self, reading: Reading) -> list[Finding]:
        """Return a finding if the dump lacks the rows of tables that ``accepted`` does not name."""
        lacking = rows_left_out.unexpected(reading.without_data, self.accepted)
        if not lacking:
            return []
        remedy = rows_left_out.remedy("--exclude-table-data", self.accepting)
        return [self._finding(rows_left_out.CODE, rows_left_out.WANTED, rows_left_out.measured(lacking), remedy=remedy)]

    def _not_dumped(self, reading: Reading) -> list[str]:
        """Return texts about rows that the dump lacks for a known reason, and about tables that it may lack unnoticed."""
        texts = rows_left_out.not_covered(reading.without_data[:MOST_NAMED], self.accepted)
        if reading.unlogged:
            texts.append(f"the rows of unlogged tables: {listed(reading.unlogged, 10)}")
        return [*texts, WHOLE_TABLES]

    def _not_covered(self, outline: Outline, compression: str, roles: tuple[str, ...] | None) -> list[str]:
        texts = ["whether the dump can be restored: `backup.restore` into a sandbox shows this"]
        if not self.form.checksum and compression not in CHECKSUMS:
            texts.append(
                f"changed bytes inside rows, because a dump with compression {compression} contains no checksum of the rows"
            )
        if not outline.filtered:
            texts.append(
                "missing rows: row security may have hidden rows from the role that took the dump, and this dump would look complete"
            )
        if not outline.databases:
            texts.append("the origin of the dump, because the dump does not name a database")
        if roles is None and not outline.of_cluster:
            texts.append("roles, their passwords and memberships, because a dump of one database does not contain them")
        return texts


def another(dump: str, wanted: str, named: str, host: str) -> Finding:
    """Return the finding for a dump that contains the database ``named`` and not the expected database ``wanted``. ``dump``:
    name of the dump.
    """
    remedy = "Change the database in the job that takes the dumps, or correct `database` of the backup in the inventory."
    return finding(
        "backup-of-another", title=dump, wanted=f"the database {wanted}", measured=named, remedy=remedy, host=host
    )
