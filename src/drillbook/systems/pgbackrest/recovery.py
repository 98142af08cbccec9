"""Recovers a pgBackRest backup in a sandbox: restores the files, fetches the WAL, and starts a server that replays it.

pgbackrest runs outside the network namespace of the sandbox, because the repository may be on another machine. The server has
neither a network nor access to the repository. It reads the WAL from a folder of the sandbox, and archives nothing. Its
tablespaces and links are inside the sandbox, even if the team's pgbackrest.conf places them elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Facts
from drillbook.sdk.backup_source import END, Backup, stamp
from drillbook.sdk.host import printable
from drillbook.sdk.sandbox import Sandbox
from drillbook.systems.pgbackrest.archive import READING, Archive, cut, gap, lacking
from drillbook.systems.pgbackrest.programs import Program
from drillbook.systems.postgres.connection import connected, first_row
from drillbook.systems.postgres.disposable_server import (
    TEMPLATE,
    Version,
    lacking_extensions,
    libraries,
    start_existing,
    tools_of,
)
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.timelines import Way, lsn, number, position

SAFE = {"delta": "n", "force": "n", "link-all": "n", "archive-async": "n"}
"""Options with safe values for a restore into a sandbox. They override the values in the team's pgbackrest.conf."""
RESET = (
    "--reset-pg1-host",
    "--reset-link-map",
    "--reset-tablespace-map",
    "--reset-recovery-option",
    "--reset-db-include",
    "--reset-db-exclude",
)
"""Options that cancel certain settings of the team's pgbackrest.conf. With these settings, pgbackrest would write
outside the sandbox, or restore only a part of the backup.
"""
# BOX: give all files to the owner of the sandbox; if pgbackrest runs as root, it restores them with their original owner.
_OWN = 'test "$(id -u)" != 0 || chown -hR "$(stat -c %u:%g -- "$1")" "$1"'
# FOLDER BIN MAJOR TARGET: input lines NAME SHA1 SURE. Fetch each segment. From the first line that is not `sure`, search for
# a commit after TARGET, and stop when there is one. Print the number of segments, or the problem.
_FETCH = (
    READING
    + """
folder=$1 target=$4 count=0
program=$(waldump "$2" "$3") || { echo "missing pg_waldump"; exit 0; }
while read -r name digest sure; do
  pgbackrest --reset-pg1-host archive-get "$name" "$folder/$name" </dev/null >&2 || { echo "unread $name"; exit 0; }
  test "$digest" = - && continue
  got=$(sha1sum < "$folder/$name")
  test "${got%% *}" = "$digest" || { echo "damaged $name"; exit 0; }
  count=$((count + 1))
  test "$sure" = sure && continue
  later=$(transactions "$program" "$folder/$name" | awk -v target="$target" '$0 > target { print; exit }')
  test -z "$later" || break
done
echo "fetched $count $(du -sk -- "$folder" | sed 's/[^0-9].*//')"
"""
)
_REPLAYED = (
    "SELECT pg_catalog.pg_last_wal_replay_lsn()::text, pg_catalog.pg_last_xact_replay_timestamp(), "
    "pg_catalog.current_setting('archive_mode'), (pg_catalog.pg_control_system()).system_identifier::text"
)
_DATABASES = """
SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname = 'postgres', 1
"""
_HAS_ROWS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) > 0
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)')
"""
_UNREACHED = "recovery ended before configured recovery target was reached"
_TOO_EARLY = "requested recovery stop point is before consistent recovery point"
_NO_WAL = (
    "could not locate required checkpoint record",
    "could not locate a valid checkpoint record",
    "WAL ends before end of online backup",
    "WAL ends before consistent recovery point",
    "requested timeline",
)


def lacking_wal(lines: Iterable[str]) -> str:
    """Return the first of the server's ``lines`` which says that WAL is missing, or an empty text if there is none."""
    return next((line.strip() for line in lines if any(sign in line for sign in _NO_WAL)), "")


def need_major(tools: Tools, wanted: str) -> Version:
    """Return the version of the PostgreSQL programs that ``tools`` runs.

    ``wanted``: major version of PostgreSQL in the backup. Raises NotReady when the major versions differ.
    """
    major, text = tools.version("postgres")
    if str(major) != wanted:
        raise NotReady(
            f"{tools.host.name}: the backup is of PostgreSQL {wanted}, but the sandbox has {major}",
            hint=f"set {tools.service.setting('bin')} to the folder with the programs of PostgreSQL {wanted}",
        )
    return major, text


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovery of one pgBackRest backup into one sandbox."""

    backup: Backup
    box: Sandbox
    program: Program
    archive: Archive
    at: datetime | None
    """Target time of the recovery. END means the end of the archived WAL, and None means the end of the backup."""
    inclusive: bool

    @property
    def data(self) -> str:
        """Path of the server's data directory in the sandbox."""
        return tools_of(self.box).service.data

    @property
    def wal(self) -> str:
        """Path of the folder with the fetched WAL."""
        return f"{self.box.folder}/wal"

    def run(self) -> Facts:
        """Carry out the recovery and return its facts.

        Raises StepFailed when the recovery fails. Raises NotReady when the host has another version of PostgreSQL. Raises
        CouldNotVerify when a program is missing. Raises HostError when the host cannot be used.
        """
        facts = self.backup.facts
        version = need_major(tools_of(self.box), facts["version"])
        way = self._way()
        rows = self._rows(way)
        segments = sum(digest != "-" for _, digest, _ in rows)
        self.box.need_space(facts["restored_bytes"] + segments * self.archive.segment_bytes)
        marks = [time.monotonic()]
        self._restore_files(way)
        marks.append(time.monotonic())
        fetched = self._fetch(rows) if rows else 0
        marks.append(time.monotonic())
        missing = self._start(version)
        self._must_be_usable()
        marks.append(time.monotonic())
        seconds = [round(after - before, 3) for before, after in pairwise(marks)]
        return {
            "bytes": facts["restored_bytes"],
            "wal_segments": fetched,
            "libraries_lacking": missing,
            **self._replayed(way),
            "seconds": dict(zip(("files", "fetch_wal", "replay"), seconds, strict=True)),
        }

    def _way(self) -> Way:
        """Return the WAL to replay. For a recovery to the end of the backup, return only WAL of the backup's timeline."""
        facts = self.backup.facts
        if not facts["wal_start"]:  # the server was stopped during the backup
            return Way(0, ())
        way = self.archive.way(facts["lsn_start"], facts["wal_start"])
        if self.at is not None:
            return way
        return Way(int(facts["wal_start"][:8], 16), cut(self.archive, way, facts["wal_stop"]))

    def _rows(self, way: Way) -> list[tuple[str, str, str]]:
        """Return the WAL files to fetch, each with its name, its SHA-1, and one word.

        The word is `sure` when the recovery needs the file, and `perhaps` when it may need the file. Raises StepFailed when
        WAL is missing for a recovery to the end of the archived WAL.
        """
        if self.at is END and (problem := lacking(self.archive, way, self.backup.facts["wal_stop"])):
            raise StepFailed(
                f"{self.program.name}: the archived WAL is incomplete or damaged: {problem}",
                findings=[gap(self.program.name, problem, host=self.box.host.name)],
            )
        rows = [(name, "-", "sure") for name in self.archive.histories if way.files]
        for index, name in enumerate(way.files):
            sure = self.at is None or self.at is END or index == 0 or self.archive.segments[name].at <= self.at
            rows.append((name, self.archive.segments[name].digest, "sure" if sure else "perhaps"))
        return rows

    def _restore_files(self, way: Way) -> None:
        """Run `pgbackrest restore` with the target of the recovery."""
        box = self.box
        self.program.run("mkdir", "-m", "700", "--", self.data, self.wal).check()
        own = {"pg1-path": self.data, "tablespace-map-all": f"{box.folder}/tablespaces"}
        arguments = ("--archive-mode=off", f"--set={self.backup.id}", *self._target(way))
        self.program.answer("restore", *RESET, *arguments, options=own)
        self.program.run("sh", "-c", _OWN, "sh", box.folder).check()

    def _target(self, way: Way) -> tuple[str, ...]:
        if not way.files:
            return ("--type=none",)
        timeline = "current" if way.timeline == int(self.backup.facts["wal_start"][:8], 16) else str(way.timeline)
        if self.at is None:
            return ("--type=immediate", "--target-action=promote")
        if self.at is END:
            return ("--type=default", f"--target-timeline={timeline}")
        moment = self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        exclusive = () if self.inclusive else ("--target-exclusive",)
        return ("--type=time", f"--target={moment}", *exclusive, f"--target-timeline={timeline}", "--target-action=promote")

    def _fetch(self, rows: Sequence[tuple[str, str, str]]) -> int:
        """Fetch the WAL into the sandbox, and return the number of segments.

        Raises StepFailed when a segment is missing or damaged. Raises CouldNotVerify when pg_waldump is missing. Raises
        HostError when the host cannot be used.
        """
        tools = tools_of(self.box)
        target = self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if self.at and self.at is not END else ""
        lines = "".join(f"{' '.join(row)}\n" for row in rows)
        own = {"pg1-path": self.data}
        arguments = (self.wal, tools.service.bin, self.backup.facts["version"], target)
        output = self.program.run("sh", "-c", _FETCH, "sh", *arguments, stdin=lines, options=own).check()
        said, _, name = output.text.partition(" ")
        if said == "fetched":
            return int(name.split()[0])
        if said == "missing":
            raise CouldNotVerify(
                f"{self.box.host.name} has no {name}",
                hint=f"set {tools.service.setting('bin')} to the folder that contains {name}",
            )
        measured = (
            f"{name} cannot be read: {printable(output.stderr, limit=300).strip()}"
            if said == "unread"
            else f"the content of {name} differs from the archived content"
        )
        raise StepFailed(
            f"{self.program.name}: the archived WAL is incomplete or damaged: {measured}",
            findings=[gap(name, measured, host=self.box.host.name)],
        )

    def _start(self, version: Version) -> list[str]:
        """Start the server, and wait until it has recovered. If its settings name libraries that the host does not have,
        start the server without these libraries. Return the names of these libraries.

        Raises StepFailed when the server does not recover, HostError when the host cannot be used, and Cancelled when the run
        is stopped.
        """
        command = f'test -e "{self.wal}/%f" && cp "{self.wal}/%f" "%p"'
        there, missing = libraries(self.box, self.data)
        try:
            settings = {"restore_command": command}
            start_existing(self.box, self.data, settings=settings, preload=there, version=version)
        except StepFailed as error:
            raise self._explained(error) from error
        return missing

    def _explained(self, error: StepFailed) -> StepFailed:
        """Return the error for a recovery that ended too early. It contains the reason from the server's log."""
        lines = [*(line for problem in error.findings for line in problem.evidence), error.message]
        text = "\n".join(lines)
        target = stamp(self.at) if self.at and self.at is not END else ""
        for sign, measured in (
            (_UNREACHED, "the archived WAL ends before the wanted time"),
            (_TOO_EARLY, "the backup ends after the wanted time"),
        ):
            if sign in text:
                problem = finding(
                    "backup-missing", title=self.program.name, wanted=f"a recovery to {target}", measured=measured
                )
                return StepFailed(f"{self.program.name}: {problem.wanted} is impossible: {measured}", findings=[problem])
        if said := lacking_wal(lines):
            problem = gap(self.program.name, f"the server said: {said}", host=self.box.host.name)
            return StepFailed(f"{self.program.name}: the archived WAL is incomplete or damaged: {said}", findings=[problem])
        return error

    def _must_be_usable(self) -> None:
        """Raise StepFailed when the host lacks the files of an extension, or when all tables of all databases are empty.

        Raises HostError when the host cannot be used.
        """
        service, lacking, filled = tools_of(self.box).service, dict[str, str](), False
        with connected(self.box.ctx, service, database=TEMPLATE) as session:
            names = [str(name) for (name,) in session.execute(_DATABASES).fetchall()]
        for name in names:
            with connected(self.box.ctx, service, database=name) as session:
                lacking |= dict.fromkeys(lacking_extensions(session), name)
                filled = filled or bool(first_row(session, _HAS_ROWS)[0])
        if lacking:
            extension, name = min(lacking.items())
            wanted = f"the extension {extension} of the database {name}"
            raise self._unusable(
                "sandbox-lacks", wanted, f"{self.box.host.name} has no files of the PostgreSQL extension {extension}"
            )
        if not filled:
            measured = f"none in {len(names)} databases: {', '.join(names[:5])}"
            raise self._unusable("backup-empty", "at least one row", measured)

    def _unusable(self, code: str, wanted: str, measured: str) -> StepFailed:
        problem = finding(code, title=self.backup.id, wanted=wanted, measured=measured, host=self.box.host.name)
        return StepFailed(f"{self.box.host.name}: {problem.title}: {measured}", findings=[problem])

    def _replayed(self, way: Way) -> Facts:
        """Return facts about the replay. Raises StepFailed if the replay ended too early. Also raises StepFailed if
        `archive_mode` of the server in the sandbox is not off, because this server must not write to the WAL archive.
        """
        with connected(self.box.ctx, tools_of(self.box).service, database=TEMPLATE) as session:
            reached, last, archives, system = first_row(session, _REPLAYED)
        if archives != "off":
            raise StepFailed(
                f"{self.box.host.name}: the server in the sandbox must not archive WAL (archive_mode is {archives})"
            )
        if not way.files:
            return {"system_identifier": system}
        self._must_be_whole(way, str(reached))
        return {
            "replayed_to": reached,
            "replayed_bytes": position(str(reached)) - position(self.backup.facts["lsn_start"]),
            "last_commit": stamp(last) if last else None,
            "timeline": way.timeline,
            "system_identifier": system,
        }

    def _must_be_whole(self, way: Way, reached: str) -> None:
        """Raise StepFailed when a recovery to the end of the archived WAL has not replayed the whole archive.

        PostgreSQL reports no error in this case, because it takes a damaged record for the end of the WAL.
        """
        size = self.archive.segment_bytes
        if self.at is END and position(reached) <= number(way.files[-1], size) * size:
            measured = f"the replay ended at {reached}, before {way.files[-1]} ({lsn(number(way.files[-1], size) * size)})"
            raise StepFailed(
                f"{self.program.name}: the archived WAL is incomplete or damaged: {measured}",
                findings=[gap(self.program.name, measured, host=self.box.host.name)],
            )
