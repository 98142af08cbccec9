"""Lists the files of received WAL (write-ahead log) on a host, finds the last record, and copies files into a new cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.errors import StepFailed
from drillbook.sdk.host import printable
from drillbook.systems.postgres import timelines
from drillbook.systems.postgres.programs import Tools

HISTORY_LIMIT = 1 << 20
"""Maximum number of bytes read from a timeline's history file."""
# FOLDER: print the size and the name of each file in FOLDER. Exit with 6 if FOLDER cannot be entered.
_LIST = """
cd -- "$1" 2>/dev/null || exit 6
find . ! -name . -prune -type f -exec stat -c '%s %n' -- {} +
"""
# FOLDER DATA PROGRAM..., with file names on standard input: copy the received WAL over the WAL of the backup, whose last
# segment is not full. A pipe reports only the exit status of its last program, so the first program reports success on
# another descriptor.
_LAY = """
folder=$1 data=$2; shift 2
left=$({
  { tar -C "$folder" -cf - -T - && echo whole >&3; } | "$@" tar --no-same-owner -xf - -C "$data/pg_wal" >&2
} 3>&1) || exit 3
test "$left" = whole || { echo "the log in $folder could not be read whole" >&2; exit 3; }
"$@" sh -c 'cd -- "$1" && for one in *.partial; do
  test ! -e "$one" || mv -f -- "$one" "${one%.partial}" || exit 4
done' sh "$data/pg_wal"
"""
# NEW FOLDER, PROGRAM, first and last segment, then pairs of file and segment name: print the last WAL record in these files.
_LAST = """
folder=$1 program=$2 first=$3 last=$4; shift 4
rm -rf -- "$folder" && mkdir -m 700 -- "$folder" || exit 6
while test $# -gt 1; do ln -s -- "$1" "$folder/$2" || exit 6; shift 2; done
"$program" --path="$folder" "$first" "$last" 2>"$folder/said" | tail -n 1
tail -c 400 -- "$folder/said" >&2
rm -rf -- "$folder"
"""


@dataclass(frozen=True, slots=True)
class Received:
    """Received WAL in ``folder`` on the host of ``tools``. ``segment_bytes``: size of a complete WAL segment."""

    tools: Tools
    folder: str
    segment_bytes: int

    def way(self, timeline: int, since: int) -> timelines.Way:
        """Return the WAL files that a recovery reads if it begins at the WAL location ``since`` on ``timeline``.

        A WAL location is a number of bytes. Raises StepFailed when there is no WAL or a history file is invalid, and
        HostError when the host cannot be used.
        """
        log = timelines.Log(self._sizes(), self.segment_bytes)
        newest = log.newest(timeline)
        return log.way(timeline, since, self._history(newest) if newest > timeline else ())

    def _sizes(self) -> dict[str, int]:
        listed = self.tools.host.run(
            ("sh", "-c", _LIST, "sh", self.folder), deadline=self.tools.deadline, env={"LC_ALL": "C"}
        )
        segments = re.findall(
            r"^(\d+) \./([0-9A-F]{8}(?:[0-9A-F]{16}(?:\.[a-z0-9]+)?|\.history))$", listed.text, re.MULTILINE
        )
        if not listed.ok or not segments:
            raise StepFailed(f"{self.tools.host.name}: there is no WAL in {self.folder}")
        if not listed.complete:
            raise StepFailed(f"{self.tools.host.name}: {self.folder} contains more files than can be listed")
        return {name: int(size) for size, name in segments}

    def _history(self, timeline: int) -> list[timelines.Switch]:
        path = f"{self.folder}/{timelines.history_file(timeline)}"
        read = self.tools.host.run(("head", "-c", str(HISTORY_LIMIT), "--", path), deadline=self.tools.deadline).check()
        return timelines.history(read.text)

    def last_record(self, way: timelines.Way, scratch: str) -> int:
        """Return the WAL location in bytes at which the last complete WAL record begins. pg_waldump finds this record.

        ``scratch``: folder for temporary files on the host. Raises StepFailed when there is no such record, and HostError
        when the host cannot be used.
        """
        said = ""
        for count in (1, 2):  # the last segment may be empty, or contain only the end of a record that began before it
            files = way.files[-count:]
            # Both segments are named after the newest timeline: the first of them may belong to an older timeline.
            names = [f"{way.timeline:08X}{file[8:24]}" for file in files]
            links = [word for file, name in zip(files, names, strict=True) for word in (f"{self.folder}/{file}", name)]
            output = self.tools.host.run(
                (
                    "sh",
                    "-c",
                    _LAST,
                    "sh",
                    f"{scratch}/last-record",
                    self.tools.path("pg_waldump"),
                    names[0],
                    names[-1],
                    *links,
                ),
                deadline=self.tools.deadline,
                env={"LC_ALL": "C"},
            )
            if match := re.search(r"\blsn: ([0-9A-F]+/[0-9A-F]+), prev ", output.text):
                return timelines.position(match[1])
            said = printable(output.stderr.strip(), limit=400)
        raise StepFailed(f"{self.tools.host.name}: the end of the WAL in {self.folder} cannot be read: {said}")

    def lay(self, files: Sequence[str], data: str) -> None:
        """Copy ``files`` and all history files to the folder ``pg_wal`` of the cluster in ``data``.

        Raises HostError when a file cannot be copied.
        """
        names = [*files, *(name for name in self._sizes() if name.endswith(".history"))]
        self.tools.host.run(
            ("sh", "-c", _LAY, "sh", self.folder, data, *self.tools.as_owner("env")),
            deadline=self.tools.deadline,
            stdin="".join(f"{name}\n" for name in names).encode(),
        ).check()
