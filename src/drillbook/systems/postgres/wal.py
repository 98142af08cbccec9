"""The write-ahead log, received as it is written: a process on the host that streams it to a folder beside the data.

``pg_receivewal`` is started detached and without a slot, so that nothing of it stays on the server. Its folder lies in the
run's own, outside the data directory: it stands for the archive that a real installation has elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.errors import HostError, StepFailed
from drillbook.sdk.host import Deadline
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.postgres.tools import Tools, passfile

FOLDER = "wal"
"""Name of the folder below the run's."""
# FOLDER SECONDS PROGRAM...: the passfile is there until the stream has begun. Prints the receiver's number once something
# came in: what a receiver before it left in the folder is older. `timeout` ends it when nobody else does, and ends with it;
# the number written down is the receiver's own.
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
begun() { find . ! -name . -prune -type f -newer "$folder.passfile" | grep -q '/[0-9A-F]\\{24\\}'; }
until begun; do
  kill -0 "$pid" 2>/dev/null && test $tries -lt 600 || break
  tries=$((tries + 1)); sleep 0.05
done
begun || { rm -f -- "$folder.passfile"; cat "$folder.log" >&2; kill "$pid" 2>/dev/null; exit 5; }
rm -f -- "$folder.passfile"
cat -- "$folder.pid"
"""
# FOLDER: sets pid to the receiver's number when that process still works in this very folder.
_OURS = """
pid=$(cat "$1.pid" 2>/dev/null)
case $pid in ''|*[!0-9]*) pid=;; esac
test -z "$pid" || test "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(cd -- "$1" 2>/dev/null && pwd -P)" || pid=
"""
_STOP = (
    _OURS
    + """
test -z "$pid" || kill -INT "$pid" 2>/dev/null
tries=0
while test -n "$pid" && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"; do
  tries=$((tries + 1)); sleep 0.05
  test $tries -lt 200 || { kill -KILL "$pid"; tries=0; }
done
rm -f -- "$1.pid" "$1.passfile"
"""
)
_ALIVE = _OURS + 'if test -n "$pid"; then echo alive; else echo gone; fi'


@dataclass(frozen=True, slots=True)
class Receiver:
    """The process that receives the log of one service into ``folder`` on the host of ``tools``."""

    tools: Tools

    @property
    def folder(self) -> str:
        """Where the segments are."""
        return f"{self.tools.scratch}/{FOLDER}-{self.tools.service.name}"

    def start(self, seconds: float, name: str) -> int:
        """Start it and wait until it receives; the process's number. It ends after ``seconds`` by itself.

        ``name`` is what the server knows it by. Raises StepFailed, HostError.
        """
        self.tools.make_scratch()
        argv = self.tools.asking("pg_receivewal", "--no-loop", "--synchronous", "--status-interval=1", database="postgres")
        output = self.tools.host.run(
            ("sh", "-c", _START, "sh", self.folder, str(max(1, round(seconds))), *argv),
            deadline=self.tools.deadline,
            stdin=passfile(self.tools.service),
            env={"LC_ALL": "C", "PGAPPNAME": name, "PGCONNECT_TIMEOUT": "10"},
        )
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


def name_of(run_id: str) -> str:
    """What the server knows the receiver of a run by: the ``application_name`` in ``pg_stat_replication``.

    A digest of the run's id, which may be long: a server keeps the first 63 bytes of a name
    (PostgreSQL's manual, 20.8 "Error Reporting and Logging", application_name).
    """
    return f"drillbook-wal-{sha256(run_id.encode())[:16]}"


def stop_quietly(receiver: Receiver) -> None:
    """End a receiver whose start went wrong; its host may be what went wrong."""
    try:
        Receiver(Tools(receiver.tools.service, receiver.tools.host, Deadline.after(20), receiver.tools.scratch)).stop()
    except HostError:
        return
