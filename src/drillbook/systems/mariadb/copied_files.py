"""Files of a physical backup that mariadb-backup made. This module reads the metadata files of the backup.

mariadb-backup cannot verify a backup, and its stream has no end marker. A backup is complete when it contains the files that
mariadb-backup writes last. `mariadb-backup --prepare` changes files, so it never runs on the stored backup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from drillbook.errors import CommandTimedOut
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Facts
from drillbook.sdk.host import Deadline, Host
from drillbook.systems.mariadb.content import SYSTEM_SCHEMAS

# FOLDER: print name, size, times, and the two metadata files of each backup in FOLDER, or of the backup FOLDER itself.
LIST = r"""
cd -- "$1" || exit 44
find . -maxdepth 2 \( -name mariadb_backup_info -o -name xtrabackup_info \
  -o -name mariadb_backup_checkpoints -o -name xtrabackup_checkpoints -o -name ib_logfile0 -o -name ibdata1 \
  -o -name backup-my.cnf \) -exec dirname -- {} + | sort -u | while IFS= read -r folder; do
  printf 'backup %s %s %s\n' "$(du -sb -- "$folder" | cut -f1)" "$(stat -c %Y -- "$folder")" "$folder"
  for kind in info checkpoints; do
    for file in "$folder/mariadb_backup_$kind" "$folder/xtrabackup_$kind"; do
      test ! -f "$file" || sed -n "s/^\([a-z_]* =\)/$kind \1/p" -- "$file"
    done
  done
  end=$(sed -n 's/^end_time = //p' -- "$folder/mariadb_backup_info" "$folder/xtrabackup_info" 2>/dev/null | head -n 1)
  test -z "$end" || date -d "$end" '+ended %s'
  find "$folder" -mindepth 2 -maxdepth 2 -name '*.frm' -printf 'table %P\n'
done
"""
# FILE UNPACKER: print the version of the backed-up server, which mariadb-backup writes to the end of the stream FILE. Print `broken`
# if UNPACKER fails, because then the true end was not reached.
VERSION = r"""
exec 3>&1
if test -z "$2"; then tail -c 65536 -- "$1"; else
  # shellcheck disable=SC2086 # the words of a command
  { $2 < "$1" || echo broken >&3; } | tail -c 65536
fi | tr -cd '[:print:]\n' | sed -n 's/^server_version = \([0-9.]*\)-MariaDB.*/\1/p' | tail -n 1
"""
BROKEN = "broken"
"""Word that the script ``VERSION`` prints for a stream that does not decompress to its end."""
VERSION_S = 15.0
"""Longest time, in seconds, for decompressing a stream up to its end. If the step has less than twice this time left, half
of the remaining time is the limit.
"""
MOST_NAMED = 5000
"""Maximum number of tables and views whose names are in the facts."""
SETTINGS = frozenset(
    (
        "innodb_data_file_path",
        "innodb_page_size",
        "innodb_undo_directory",
        "innodb_undo_tablespaces",
        "innodb_log_file_size",
        "innodb_checksum_algorithm",
    )
)
"""Settings in `backup-my.cnf` that a server needs to open the files of the backup."""


@dataclass(slots=True)
class CopiedFiles:
    """One physical backup in a folder: its size, and the fields of its two metadata files."""

    path: str
    bytes: int
    changed: float
    """Modification time of the folder, in seconds since 1970."""
    ended: float | None = None
    """Time at which the backup ended, in seconds since 1970. It is computed from the field `end_time`, a time in the host's
    zone.
    """
    info: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[str, str] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    """Tables and views of all databases, except the server's system databases. Each element is the path of the definition file
    of one table or view, without the suffix.
    """

    @property
    def kind(self) -> str:
        """Type of the backup, such as ``full-backuped``, ``incremental`` or ``full-prepared``. It is empty for an unfinished
        backup.
        """
        return self.checkpoints.get("backup_type", "")

    @property
    def prepared(self) -> bool:
        """True when the redo log has been applied to the backup."""
        return self.kind in ("full-prepared", "log-applied")

    @property
    def base_lsn(self) -> int:
        """Log sequence number at which an incremental backup begins. It is 0 for a full backup."""
        return number(self.checkpoints, "from_lsn")

    def ends_at(self, lsn: int) -> bool:
        """Return True when the backup can be the base of an increment that begins at the log sequence number ``lsn``.
        For this, the backup must be complete and end at ``lsn``.
        """
        return bool(self.kind) and number(self.checkpoints, "to_lsn") == lsn

    @property
    def version(self) -> str:
        """Version of the server that was backed up."""
        return self.info.get("server_version", "")

    def facts(self) -> Facts:
        """Return the metadata of the backup as facts."""
        return {
            "type": self.kind,
            "from_lsn": self.base_lsn,
            "to_lsn": number(self.checkpoints, "to_lsn"),
            "server_version": self.version,
            "partial": self.info.get("partial", ""),
            "named": len(self.tables),
            "names": sorted(self.tables)[:MOST_NAMED],
        }

    def without_tables(self, name: str, host: str) -> list[Finding]:
        """Return a list with one finding if the backup contains no table and no view. Otherwise return an empty list."""
        if self.tables:
            return []
        wanted = "at least one table or view outside the server's system databases"
        return [finding("backup-empty", title=name, wanted=wanted, measured="none", host=host)]

    def unfinished(self, name: str, host: str) -> list[Finding]:
        """Return a list with one finding if the backup is unfinished, or if its redo log does not reach the end of the
        backup. Otherwise return an empty list.
        """
        missing = [what for what, fields in (("checkpoints", self.checkpoints), ("info", self.info)) if not fields]
        wanted = "the files that mariadb-backup writes last: mariadb_backup_checkpoints and mariadb_backup_info"
        if missing:
            measured = f"no mariadb_backup_{missing[0]}"
        elif not self.kind:
            wanted, measured = "the type of the backup, in mariadb_backup_checkpoints", "none"
        elif number(self.checkpoints, "last_lsn") < number(self.checkpoints, "to_lsn"):
            wanted = f"a redo log up to the log sequence number {self.checkpoints.get('to_lsn')}"
            measured = f"a redo log up to the log sequence number {self.checkpoints.get('last_lsn', '')}"
        else:
            return []
        return [finding("backup-damaged", title=name, wanted=wanted, measured=measured, host=host)]


def number(fields: Mapping[str, str], key: str) -> int:
    """Return the value of the field ``key`` as an integer. Return 0 when the value is not a number."""
    value = fields.get(key, "")
    return int(value) if re.fullmatch(r"\d+", value) else 0


def parsed(text: str) -> list[CopiedFiles]:
    """Parse the output of the script ``LIST``. The result has one backup for each folder that contains files of a backup."""
    backups: list[CopiedFiles] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"backup (\d+) (\d+) (.*)", line):
            backups.append(CopiedFiles(match[3].removeprefix("./"), int(match[1]), float(match[2])))
        elif backups and (match := re.fullmatch(r"ended (\d+)", line)):
            backups[-1].ended = float(match[1])
        elif backups and (match := re.fullmatch(r"table ([^/]+)/(.*)\.frm", line)):
            if match[1] not in SYSTEM_SCHEMAS:
                backups[-1].tables.append(f"{match[1]}/{match[2]}")
        elif backups and (match := re.fullmatch(r"(info|checkpoints) ([a-z_]+) =\s*(.*)", line)):
            getattr(backups[-1], match[1])[match[2]] = match[3].strip()
    return backups


def settings(text: str) -> dict[str, str]:
    """Return the settings that a server needs to open the files of a backup. They are read from ``text``, the content of its
    `backup-my.cnf`.
    """
    pairs = re.findall(r"^([a-z_]+)=(\S+)$", text, re.MULTILINE)
    return {key: value for key, value in pairs if key in SETTINGS and re.fullmatch(r"[\w.,:/-]+", value)}


def version_at_end(host: Host, path: str, unpack: str, limit: Deadline) -> str:
    """Return the version of the backed-up server, which mariadb-backup writes to the end of the stream ``path``.

    ``unpack``: command that decompresses the stream; empty for a stream that is not compressed. The output is read up to its
    end, but not stored. The result is empty if the end was not reached within the time limit, and ``BROKEN`` if decompressing
    fails.
    Raises HostError when the host cannot be used.
    """
    deadline = Deadline.after(min(VERSION_S, limit.remaining() / 2), limit.cancel)
    try:
        words = host.run(("sh", "-c", VERSION, "sh", path, unpack), deadline=deadline).text.split()
        return BROKEN if BROKEN in words else "".join(words)
    except CommandTimedOut:
        return ""
