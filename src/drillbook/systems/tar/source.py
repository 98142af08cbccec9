"""Backup source of the kind `tar`: tar archives in a folder, in S3, or on an SFTP or HTTP server. They may be compressed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_files import FileBackups
from drillbook.sdk.backup_source import Backup, Checked, need_one, need_programs
from drillbook.sdk.encryption import SUFFIX
from drillbook.sdk.host import Host, printable
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service
from drillbook.systems.files.in_place import FolderInPlace
from drillbook.systems.tar import manual_restore

UNPACKERS = {
    "gz": ("gzip", "-dc"),
    "tgz": ("gzip", "-dc"),
    "bz2": ("bzip2", "-dc"),
    "tbz2": ("bzip2", "-dc"),
    "xz": ("xz", "-dc"),
    "txz": ("xz", "-dc"),
    "zst": ("zstd", "-dcq"),
    "tzst": ("zstd", "-dcq"),
    "lz4": ("lz4", "-dcq"),
}
"""Decompression commands by the suffix of the archive's name. An archive with another suffix is taken as uncompressed."""
_MAGIC_AT = 257
"""Position of the word `ustar` in an archive (POSIX, pax, "ustar Interchange Format")."""
MISSING = 127
"""Exit status of a shell for a program that does not exist (POSIX, 2.8.2)."""
# From the list of an archive's content, print the number of entries, and the number of entries that are not folders. Then
# print the content of the folder `path`, which the archive contains under the last parts of this path, or as `.`: `name` for
# each entry in the folder, and `self` if the folder itself is in the archive.
_LISTED = r"""
function plain(text) { gsub(/^(\.?\/)+/, "", text); sub(/\/+$/, "", text); return text }
BEGIN { parts = split(path, part, "/"); for (k = 0; k <= parts; k++) fits[k] = 1 }
/^block [0-9]+: \*\* / { print; next }
{ n++; sub(/^block [0-9]+: /, "") }
!/^d/ { f++ }
{
  kind = substr($0, 1, 1)
  sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ /, "")
  if (kind == "l") sub(/ -> .*/, "")
  if (kind == "h") sub(/ link to .*/, "")
  $0 = plain($0)
  if ($0 == "" || $0 == ".") { dot = 1; next }
  count = split($0, entry, "/")
  for (k = 0; k <= parts; k++) {
    same = 1
    for (i = 1; i <= k && i <= count; i++) if (entry[i] != part[parts - k + i]) same = 0
    if (!same) fits[k] = 0
    else if (count == k) itself[k] = 1
    else if (count > k && total[k] < 10000 && !((k, entry[k + 1]) in seen)) {
      seen[k, entry[k + 1]] = 1
      names[k, total[k]++] = entry[k + 1]
    }
  }
}
END {
  print "entries " n + 0; print "files " f + 0
  if (dot) { best = 0; itself[0] = 1 } else for (k = 0; k <= parts; k++) if (fits[k]) best = k
  if (itself[best]) print "self 1"
  for (i = 0; i < total[best]; i++) print "name " names[best, i]
}
"""
# ARCHIVE FOLDER PATH LISTED UNPACKER...: extract into FOLDER; if FOLDER is empty, read everything but extract nothing. Print
# the exit statuses, the output of LISTED, and the position of the end marker (`tar -R`): if an archive was cut off between
# two files, only the missing end marker shows this. File names keep the character set of the host's locale.
_READ = """
archive=$1 folder=$2 path=$3 listed=$4
shift 4
if test -n "${LC_ALL:-}"; then LC_CTYPE=$LC_ALL; export LC_CTYPE; unset LC_ALL; fi
LC_MESSAGES=C LANGUAGE=C
export LC_MESSAGES LANGUAGE
{
  { "$@" < "$archive"; echo "unpacker $?" >&3; } | if test -n "$folder"; then
    tar -xpRf - -C "$folder" --numeric-owner >&3; echo "tar $?" >&3
  else
    { tar -tvRf - ; echo "tar $?" >&3; } | awk -v path="${path#/}" "$listed" >&3
  fi
} 3>&1 >/dev/null
"""
# FOLDER: print the number of its regular files. Fail when it contains nothing but folders.
_COUNT = 'files=$(find "$1" -type f | wc -l); test "$files" -gt 0 || find "$1" ! -type d | grep -q . && echo "$files"'
MOST_NAMED = 1000
"""Maximum number of entries whose names are in the facts."""
_END_MARKER = re.compile(r"^block \d+: \*\* Block of NULs \*\*$", re.MULTILINE)
_HALF_END_MARKER = "A lone zero block at"
"""Warning of tar about an archive that ends with only one block of zeros. A complete end marker consists of two such blocks.
"""


class TarSource(FileBackups):
    """Backup source of tar archives. Each file is one backup, and its suffix shows the compression."""

    kind: Literal["tar"] = "tar"
    METHOD: ClassVar[tuple[str, str]] = ("tar", "`tar`, `gzip`; root, to restore owners")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("folder",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("folder",)
    PROGRAMS: ClassVar[tuple[str, ...]] = ("awk", "tar")
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ("find", "grep", "mkdir", "tar", "wc")

    def begins(self, data: bytes) -> bool:
        """Return True if ``data``, the first bytes of a file, are those of a tar archive in a POSIX or GNU format."""
        return data[_MAGIC_AT:].startswith(b"ustar")

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Read and decompress the whole archive without extracting it, and check that its end marker is present."""
        with ctx.temporary("tar") as folder, self.brought(ctx, backup, ctx.host, folder) as path:
            read = _read(ctx, ctx.host, path, "", of=self._saved(ctx))
        findings = [*read.problems(backup.id, ctx.host)]
        if read.files == 0 and not findings:
            measured = f"{read.entries} folders that contain nothing" if read.entries else "no entry"
            findings.append(_nothing(backup.id, measured))
        checksum = "the compression's checksum of the content" if unpacker(backup.id) else ""
        return Checked(
            tuple(findings),
            tuple(
                filter(None, ("every byte was read", "every header was parsed", "the end of the archive is there", checksum))
            ),
            ("files that are missing in the archive",)
            + (() if checksum else ("changed bytes inside files: tar stores no checksum of them",)),
            {
                "entries": read.entries,
                "files": read.files,
                **({"of": self._saved(ctx), **read.top} if self._saved(ctx) else {}),
            },
        )

    def _saved(self, ctx: Context) -> str:
        """Path of the folder whose content is in the archives. It is empty when the inventory has no service for this
        folder.
        """
        service = ctx.services.get(self.service)
        return service.data.rstrip("/") if service else ""

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores a backup into the original folder after the folder was deleted."""
        return TarInPlace(ctx, service, self)

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Extract the archive into the folder `data` of the sandbox."""
        data = f"{box.folder}/data"
        box.files.run(("mkdir", "--", data), deadline=ctx.deadline).check()
        begun = time.monotonic()
        with self.brought(ctx, backup, box.files, box.folder) as path:
            brought = time.monotonic()
            read = _read(ctx, box.host, path, data, box)
        if problems := read.problems(backup.id, box.host):
            raise StepFailed(f"{box.host.name}: {backup.id} was not unpacked completely", findings=problems)
        counted = box.run("sh", "-c", _COUNT, "sh", data)
        if not counted.ok:
            raise StepFailed(f"{box.host.name}: {backup.id} contains no file", findings=[_nothing(backup.id, "no file")])
        return {
            "files": int(counted.text),
            "seconds": {"fetch": round(brought - begun, 3), "unpack": round(time.monotonic() - brought, 3)},
        }

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        return manual_restore.blocks(manual, self.by_hand)

    def manual_move(self, manual: ManualRestore) -> list[Block] | str:
        """Return the commands with which a person puts the unpacked folder in the place of the service's folder."""
        return manual_restore.move(manual)

    def ready(self, ctx: Context) -> None:
        """Check that the host has tar and the decompression program, and that the place of the backups is valid."""
        super().ready(ctx)
        need_unpacker(ctx, self, "tar")

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the host of the sandbox has tar and the decompression programs."""
        need_unpacker(ctx, self, "tar")
        self.need_here(ctx)


def _nothing(name: str, measured: str) -> Finding:
    return finding("backup-empty", title=name, wanted="at least one file", measured=measured)


def unpacker(name: str) -> tuple[str, ...]:
    """Return the command that decompresses the archive ``name`` after its decryption. Return an empty command for an
    uncompressed archive.
    """
    return UNPACKERS.get(_ending(name).lower(), ())


def need_unpacker(ctx: Context, source: FileBackups, *others: str) -> None:
    """Check that the step's host has the program that decompresses the backups of ``source``, and the programs ``others``.

    The suffix of a backup's name, such as `.gz`, decides which program is needed. If the source's pattern for names ends with a
    suffix without wildcards, all names have this suffix. Otherwise the suffix is taken from the name of the step's backup.
    Raises NotReady when a program is missing.
    """
    names = [source.pattern]
    if set(_ending(source.pattern)) & set("*?["):
        names = [backup.id for backup in source.candidates(ctx)] or [""]
    need_one(ctx, names, lambda name: need_programs(ctx, (*others, *unpacker(name)[:1])))


def need_unpacked(host: str, name: str, status: int | None) -> None:
    """Check that a host had the program that decompresses the backup ``name``. ``status``: exit status of the decompression.

    Raises NotReady when the program is missing. A missing program does not mean that the backup is damaged.
    """
    if status == MISSING and unpacker(name):
        program = unpacker(name)[0]
        raise NotReady(f"{host} has no {program}, which the backup {name} needs", hint=f"install {program} on that host")


def _ending(name: str) -> str:
    return name.removesuffix(SUFFIX).rpartition(".")[2]


class _Reading:
    """Result of reading an archive: the exit statuses of the programs, the number of entries, and the presence of the end
    marker.
    """

    def __init__(self, text: str, said: str) -> None:
        rows = dict(re.findall(r"^(unpacker|tar|entries|files) (\d+)$", text, re.MULTILINE))
        self.unpacker, self.tar = int(rows.get("unpacker", 1)), int(rows.get("tar", 1))
        self.entries, self.files = int(rows.get("entries", 0)), int(rows.get("files", 0))
        self.ended = _END_MARKER.search(text) is not None and _HALF_END_MARKER not in said
        names = re.findall(r"^name (.*)$", text, re.MULTILINE)
        self.top: Facts = {"names": names[:MOST_NAMED], "named": len(names), "itself": "\nself 1\n" in f"\n{text}\n"}
        self.said = said

    def problems(self, name: str, host: Host) -> list[Finding]:
        """Return a list with one finding if the archive is damaged or cut off. Return an empty list for an intact archive."""
        if self.unpacker == 0 and self.tar == 0 and self.ended:
            return []
        read = self.unpacker == 0 and self.tar == 0
        measured = (
            "the archive has no blocks of zeros at its end"
            if read
            else (
                self.said or f"the decompression program ended with status {self.unpacker}, and tar with status {self.tar}"
            )
        )
        return [
            finding(
                "backup-damaged",
                title=name,
                wanted="an archive that unpacks to its end",
                measured=measured,
                host=host.name,
            )
        ]


def _read(ctx: Context, host: Host, path: str, folder: str, box: Sandbox | None = None, *, of: str = "") -> _Reading:
    argv = ("sh", "-c", _READ, "sh", path, folder, of, _LISTED, *(unpacker(path) or ("cat",)))
    output = box.run(*argv) if box else host.run(argv, deadline=ctx.deadline)
    said = printable(output.stderr, limit=400).strip().replace("\n", "; ")
    read = _Reading(output.text, said)
    need_unpacked(host.name, path.rpartition("/")[2], read.unpacker)
    return read


@dataclass(frozen=True, slots=True)
class TarInPlace(FolderInPlace):
    """Restore of an archive into the folder that was archived."""

    def ready(self) -> None:
        """Check that the folder can be restored, and that its host has tar and the decompression programs."""
        FolderInPlace.ready(self)
        self.source.ready_sandbox(self.ctx, self.service)

    def names(self, backup: Backup, checked: Facts) -> set[str]:
        """Return the names of the folder's entries that the verification found in the archive."""
        if not checked.get("itself"):
            what = (
                f"the archive {backup.id} contains no entry for the folder {self.path} itself, so its owner "
                f"and permissions would be lost"
            )
            raise StepFailed(f"{what}: give tar the path of the folder or `.`, and not the files in the folder")
        if checked.get("named", 0) > MOST_NAMED:
            raise StepFailed(
                f"{backup.id} has more than {MOST_NAMED} entries at the top of the folder; these are too many for a comparison"
            )
        return set(checked.get("names", ()))

    def fetch(self, backup: Backup, folder: str) -> Facts:
        """Unpack the archive into ``folder``."""
        with self.ctx.temporary("tar") as scratch, self.source.brought(self.ctx, backup, self.ctx.host, scratch) as path:
            read = _read(self.ctx, self.ctx.host, path, folder)
        if problems := read.problems(backup.id, self.ctx.host):
            raise StepFailed(f"{self.ctx.host.name}: {backup.id} was not unpacked completely", findings=problems)
        return {}
