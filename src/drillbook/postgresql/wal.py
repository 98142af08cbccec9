"""The write-ahead log, received as it is written: a process on the host that streams it to a folder beside the data.

``pg_receivewal`` is started detached and without a slot, so that nothing of it stays on the server. Its folder lies in the
run's own, outside the data directory: it stands for the archive that a real installation has elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from drillbook.errors import HostError, StepFailed
from drillbook.host import Deadline
from drillbook.postgresql.tools import Tools, passfile

FOLDER = "wal"
"""Name of the folder below the run's."""
# FOLDER SECONDS PROGRAM...: the passfile is there until the stream has begun. Prints the receiver's number once there is a
# segment. `timeout` ends it when nobody else does, and ends with it; the number written down is the receiver's own.
_START = """
umask 077
folder=$1 seconds=$2; shift 2
IFS= read -r line || exit 126
mkdir -p -- "$folder" && cd -- "$folder" || exit 6
printf '%s\\n' "$line" > "$folder.passfile" || exit 6
rm -f -- "$folder.pid"
PGPASSFILE=$folder.passfile setsid timeout -k 60 -s INT "$seconds" sh -c 'echo "$$" > "$1.pid" && shift && exec "$@"' \\
  sh "$folder" "$@" --directory="$folder" </dev/null >"$folder.log" 2>&1 &
pid=$!
tries=0
until ls "$folder" | grep -q '^[0-9A-F]\\{24\\}'; do
  kill -0 "$pid" 2>/dev/null && test $tries -lt 600 || break
  tries=$((tries + 1)); sleep 0.05
done
rm -f -- "$folder.passfile"
ls "$folder" | grep -q '^[0-9A-F]\\{24\\}' || { cat "$folder.log" >&2; kill "$pid" 2>/dev/null; exit 5; }
cat -- "$folder.pid"
"""
# FOLDER: sets pid to the receiver's number when that process still works in this very folder.
_OURS = """
pid=$(cat "$1.pid" 2>/dev/null)
case $pid in ''|*[!0-9]*) pid=;; esac
test -z "$pid" || test "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(cd -- "$1" 2>/dev/null && pwd -P)" || pid=
"""
_STOP = _OURS + """
test -z "$pid" || kill -INT "$pid" 2>/dev/null
tries=0
while test -n "$pid" && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"; do
  tries=$((tries + 1)); sleep 0.05
  test $tries -lt 200 || { kill -KILL "$pid"; tries=0; }
done
rm -f -- "$1.pid" "$1.passfile"
"""
_ALIVE = _OURS + 'if test -n "$pid"; then echo alive; else echo gone; fi'
_LIST = 'cd -- "$1" 2>/dev/null && ls -1'
# FOLDER DATA PROGRAM...: the received log goes over what the backup brought; the last segment is not full yet. A pipe has
# the status of its last program, so the first one's goes to a descriptor of its own.
_LAY = """
folder=$1 data=$2; shift 2
left=$({
  { tar -C "$folder" -cf - . && echo whole >&3; } | "$@" tar --no-same-owner -xf - -C "$data/pg_wal" >&2
} 3>&1) || exit 3
test "$left" = whole || { echo "the log in $folder could not be read whole" >&2; exit 3; }
"$@" sh -c 'cd -- "$1" && for one in *.partial; do
  test ! -e "$one" || mv -f -- "$one" "${one%.partial}" || exit 4
done' sh "$data/pg_wal"
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The process that receives the log of one service into ``folder`` on the host of ``tools``."""

    tools: Tools

    @property
    def folder(self) -> str:
        """Where the segments are."""
        return f"{self.tools.scratch}/{FOLDER}-{self.tools.service.name}"

    def start(self, seconds: float) -> int:
        """Start it and wait until it receives; the process's number. It ends after ``seconds`` by itself.

        Raises StepFailed, HostError.
        """
        argv = self.tools.asking("pg_receivewal", "--no-loop", "--synchronous", "--status-interval=1", database="postgres")
        output = self.tools.host.run(("sh", "-c", _START, "sh", self.folder, str(max(1, round(seconds))), *argv),
                                     deadline=self.tools.deadline, stdin=passfile(self.tools.service),
                                     env={"LC_ALL": "C", "PGAPPNAME": "drillbook", "PGCONNECT_TIMEOUT": "10"})
        if not output.ok:
            said = output.stderr.decode("utf-8", "backslashreplace").strip()[-400:]
            raise StepFailed(f"{self.tools.host.name}: pg_receivewal does not receive the log: {said}")
        return int(output.text)

    def stop(self) -> None:
        """End it, if it is there; what it received stays. Raises HostError."""
        self.tools.host.run(("sh", "-c", _STOP, "sh", self.folder), deadline=self.tools.deadline).check()

    def alive(self) -> bool:
        """Does it run? Raises HostError."""
        output = self.tools.host.run(("sh", "-c", _ALIVE, "sh", self.folder), deadline=self.tools.deadline)
        return output.check().text == "alive"

    def lay(self, folder: str, data: str) -> list[str]:
        """Put what was received into the log of the cluster in ``data``; the segments. Raises StepFailed, HostError."""
        listed = self.tools.host.run(("sh", "-c", _LIST, "sh", folder), deadline=self.tools.deadline)
        names = sorted(name for name in listed.text.splitlines() if re.fullmatch(r"[0-9A-F]{24}(\.partial)?", name))
        if not listed.ok or not names:
            raise StepFailed(f"{self.tools.host.name}: there is no log in {folder}")
        owner = self.tools.as_owner("env")
        self.tools.host.run(("sh", "-c", _LAY, "sh", folder, data, *owner), deadline=self.tools.deadline).check()
        return names


def gaps(names: list[str], segment_bytes: int) -> list[str]:
    """Names of segments after which the next one is missing, in a sorted list of segments of one size.

    A name holds the timeline, and the number of the segment in two parts (PostgreSQL's manual, 28.6).
    """
    numbers = [(number(name, segment_bytes), name) for name in names]
    return [name for (this, name), (following, _) in pairwise(numbers) if following > this + 1]


def number(name: str, segment_bytes: int) -> int:
    """Which segment of the whole log ``name`` is: its first byte is that number times ``segment_bytes``."""
    return int(name[8:16], 16) * (0x1_0000_0000 // segment_bytes) + int(name[16:24], 16)


def position(lsn: str) -> int:
    """The byte of the whole log that ``lsn`` such as 0/16B3748 stands for (PostgreSQL's manual, 8.20). Raises StepFailed."""
    match = re.fullmatch(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})", lsn)
    if match is None:
        raise StepFailed(f"the place in the log cannot be read: {lsn!r}")
    return (int(match[1], 16) << 32) + int(match[2], 16)


def stop_quietly(receiver: Receiver) -> None:
    """End a receiver whose start went wrong; its host may be what went wrong."""
    try:
        Receiver(Tools(receiver.tools.service, receiver.tools.host, Deadline.after(20), receiver.tools.scratch)).stop()
    except HostError:
        return
