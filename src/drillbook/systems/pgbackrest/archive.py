"""Reads the WAL archive of a pgBackRest repository: its segments, its gaps, and the time of the last archived commit.

pgbackrest itself (version 2.55) reports only the first and the last segment. None of its commands shows a gap between these
two, or a missing segment that a backup needs. Therefore this module lists the names of all segments. It checks that no
segment is missing between the start of the backup and the newest segment. This also works for several timelines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from drillbook.errors import StepFailed
from drillbook.findings import Finding, finding
from drillbook.systems.pgbackrest.programs import Program
from drillbook.systems.postgres.timelines import Log, Switch, Way, history, position, segment

_ENTRY = re.compile(r'"([^"]+)":\{"[^}]*"time":(\d+)[^}]*\}')
_SEGMENT = re.compile(r"(?:.*/)?([0-9A-F]{24})-([0-9a-f]{40})(?:\.\w+)?")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
SIZES = (1 << 24, *(1 << power for power in range(20, 31) if power != 24))
"""Possible sizes of a WAL segment in bytes. The usual size is the first. Source: initdb(1), --wal-segsize."""
NEWEST = 8
"""Maximum number of segments that are searched for the last commit, from the newest segment backwards."""
READING = """
unpacker() {
  case $1 in *.gz) echo gzip ;; *.lz4) echo lz4 ;; *.zst) echo zstd ;; *.bz2) echo bzip2 ;; esac
}
unpack() {
  program=$(unpacker "$1")
  if test -n "$program"; then "$program" -dc; else cat; fi
}
waldump() {
  for program in "$1/pg_waldump" "/usr/lib/postgresql/$2/bin/pg_waldump" "/usr/pgsql-$2/bin/pg_waldump" pg_waldump; do
    command -v "$program" && return
  done
}
# PROGRAM FILE: print the times of commits and rollbacks in a segment, in UTC.
transactions() {
  TZ=UTC "$1" --rmgr=Transaction "$2" 2>/dev/null | sed -n 's/.*desc: .* \\(....-..-.. ..:..:..[.0-9]*\\) UTC.*/\\1/p'
}
"""
"""Shell functions that read WAL segments of a repository."""
# FOLDER BIN MAJOR: input lines NAME PATH, newest segment first. Print the time of the newest commit in these segments.
_LAST = (
    READING
    + """
folder=$1
test -n "$folder" || { folder=$(mktemp -d "${TMPDIR:-/tmp}/drillbook-wal-XXXXXX") && trap 'rm -rf -- "$folder"' EXIT; } || exit 0
program=$(waldump "$2" "$3") || exit 0
while read -r name path; do
  pgbackrest repo-get "$path" </dev/null 2>/dev/null | unpack "$path" > "$folder/$name" 2>/dev/null
  last=$(transactions "$program" "$folder/$name" | tail -n 1)
  rm -f -- "$folder/$name"
  if test -n "$last"; then echo "$name $last"; exit 0; fi
done
"""
)
# Input lines SHA1 PATH. Print `damaged PATH` for each segment with another digest, then `complete`; or the name of a missing
# program.
_READ = (
    READING
    + """
while read -r digest path; do
  for program in sha1sum $(unpacker "$path"); do
    command -v "$program" >/dev/null || { echo "missing $program"; exit 0; }
  done
  got=$(pgbackrest repo-get "$path" </dev/null 2>/dev/null | unpack "$path" 2>/dev/null | sha1sum)
  test "${got%% *}" = "$digest" || echo "damaged $path"
done
echo complete
"""
)


@dataclass(frozen=True, slots=True)
class Stored:
    """One WAL segment in the repository.

    ``path``: path of its file below the archive; ``digest``: SHA-1 of the segment; ``at``: time at which the file was
    stored.
    """

    path: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Newest:
    """Newest moment to which a backup can be recovered with the archived WAL.

    ``at``: this moment; ``basis``: text that says how it was found; ``error_s``: its possible error in seconds.
    """

    at: datetime
    basis: str
    error_s: float


@dataclass(frozen=True, slots=True)
class Archive:
    """Archived WAL of one PostgreSQL cluster in a repository."""

    folder: str
    """Path of the archive in the repository, such as ``archive/main/17-1``."""
    segments: Mapping[str, Stored]
    histories: tuple[str, ...]
    twice: tuple[str, ...]
    """Names of the segments that are stored with two different contents. pgbackrest refuses to return such a segment."""
    switches: tuple[Switch, ...]
    segment_bytes: int

    def path(self, name: str) -> str:
        """Return the path of the file of the segment ``name`` in the repository."""
        return f"{self.folder}/{self.segments[name].path}"

    def way(self, lsn_start: str, wal_start: str) -> Way:
        """Return the segments that a recovery replays.

        They begin at the start of a backup, and end at the newest segment or at the first gap.
        """
        sizes = dict.fromkeys([*self.segments, *self.histories], self.segment_bytes)
        for name in self.twice:
            del sizes[name]
        return Log(sizes, self.segment_bytes).way(int(wal_start[:8], 16), position(lsn_start), self.switches)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reader of the content of archived WAL segments. It uses pgbackrest and other programs on the host."""

    program: Program
    temporary: str
    """Private folder on the host for temporary files. When it is empty, a new folder below /tmp is made."""
    programs: str
    """Folder of PostgreSQL's programs on the host. When it is empty, the usual folders of packages and PATH are searched."""
    major: str
    """Major version of the server that wrote the WAL."""

    def newest(self, archive: Archive, way: Way) -> Newest:
        """Return the newest moment to which a recovery can replay the segments of ``way``. This is the time of the last
        commit in these segments.

        If they contain no commit, return the time at which the newest segment was stored. Raises HostError when the host
        cannot be used.
        """
        lines = [f"{name} {archive.path(name)}\n" for name in reversed(way.files[-NEWEST:])]
        arguments = (self.temporary, self.programs, self.major)
        output = self.program.run("sh", "-c", _LAST, "sh", *arguments, stdin="".join(lines))
        if output.ok and (match := re.fullmatch(r"(\w{24}) (\S+ \S+)", output.text)):
            at = datetime.fromisoformat(match[2]).replace(tzinfo=UTC)
            return Newest(at, f"time of the last commit in the archived WAL, {match[1]}, by the server's clock", 0.0)
        last = archive.segments[way.files[-1]].at
        before = archive.segments[way.files[-2]].at if len(way.files) > 1 else last
        basis = f"time at which the newest segment {way.files[-1]} reached the repository; its last commit is earlier"
        return Newest(last, basis, max(1.0, (last - before).total_seconds()))

    def damaged(self, archive: Archive, way: Way) -> tuple[list[str], str]:
        """Read every segment of ``way``, as a recovery does. Return the names of the segments with a wrong digest.

        Also return the reason why the segments could not be read, or an empty text.
        """
        lines = [f"{archive.segments[name].digest} {archive.path(name)}\n" for name in way.files]
        output = self.program.run("sh", "-c", _READ, "sh", stdin="".join(lines)).check()
        rows = output.text.splitlines()
        if rows[-1:] != ["complete"]:
            return [], rows[-1] if rows else "no answer"
        return [row.rpartition("/")[2][:24] for row in rows[:-1]], ""


def listed(program: Program, folder: str, segment_bytes: int) -> Archive:
    """List the WAL archive in ``folder`` of the repository.

    Raises StepFailed or CouldNotVerify when pgbackrest fails, and HostError when the host cannot be used.
    """
    answer = program.answer("repo-ls", "--recurse", folder, options={"output": "json"})
    segments: dict[str, Stored] = {}
    histories, twice = [], set()
    for name, moment in _ENTRY.findall(answer.text):
        if match := _SEGMENT.fullmatch(name):
            if match[1] in segments:
                twice.add(match[1])
            segments[match[1]] = Stored(name, match[2], datetime.fromtimestamp(int(moment), UTC))
        elif _HISTORY.fullmatch(name):
            histories.append(name)
    switches = _switches(program, f"{folder}/{max(histories)}") if histories else ()
    return Archive(folder, segments, tuple(sorted(histories)), tuple(sorted(twice)), switches, segment_bytes)


def _switches(program: Program, path: str) -> tuple[Switch, ...]:
    return tuple(history(program.answer("repo-get", path).text))


def segment_size(lsn: str, name: str) -> int:
    """Return the size of a WAL segment in bytes.

    ``lsn``: LSN at which a backup starts. ``name``: name of the segment that contains this LSN. The name depends on the segment
    size, so only one size fits. When ``name`` is empty or fits no size, return the usual size.
    """
    for size in SIZES if name else ():
        if segment(int(name[:8], 16), position(lsn) // size, size) == name:
            return size
    return SIZES[0]


def gap(
    title: str, measured: str, *, wanted: str = "every segment from the backup to the newest segment", host: str = ""
) -> Finding:
    """Return a finding that says which WAL is missing or damaged."""
    return finding("wal-gap", title=title, wanted=wanted, measured=measured, host=host)


def lacking_before(way: Way, wal_stop: str) -> str:
    """Describe the WAL that is missing up to the segment ``wal_stop``. A backup is consistent only after the replay of this
    segment.

    Return an empty text when no WAL is missing.
    """
    return "" if wal_stop in way.files else way.missing or f"{wal_stop} is missing"


def lacking(archive: Archive, way: Way, wal_stop: str) -> str:
    """Describe the WAL that is missing for a recovery to the newest moment. Return an empty text when none is missing."""
    problem = way.missing or lacking_before(way, wal_stop)
    doubled = [name for name in archive.twice if name in problem]
    return (
        f"{doubled[0]} is stored twice with different contents, and pgbackrest returns neither of the two"
        if doubled
        else problem
    )


def cut(archive: Archive, way: Way, stop: str) -> tuple[str, ...]:
    """Return the segments of ``way`` up to the segment ``stop``. ``way``: segments that a recovery replays. Raises StepFailed
    when a segment up to ``stop`` is missing.
    """
    if lacking_before(way, stop):
        problem = lacking(archive, way, stop)
        raise StepFailed(f"the archived WAL is incomplete: {problem}", findings=[gap(archive.folder, problem)])
    return way.files[: way.files.index(stop) + 1]
