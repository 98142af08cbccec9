"""Starts and stops a WAL receiver: a process on the host that streams the server's WAL (write-ahead log) to a folder.

The process runs ``pg_receivewal`` in the background. It uses no replication slot, so that nothing remains on the server.
The folder for the received WAL is in the run's folder, outside the data directory. A recovery in the drill reads the WAL
from this folder, as it would read it from a WAL archive.
"""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.errors import HostError, StepFailed
from drillbook.sdk.host import Deadline
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.postgres.programs import Tools, passfile

FOLDER = "wal"
"""First part of the name of the folder for received WAL. This folder is in the run's folder on the host."""
# FOLDER SECONDS PROGRAM...: the passfile exists until the stream has begun. Print the WAL receiver's pid once data has
# arrived; files older than the passfile are from an earlier WAL receiver. `timeout` kills the WAL receiver after SECONDS,
# and exits together with it. The pid file contains the pid of the WAL receiver, not that of `timeout`.
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
# FOLDER: set pid to the WAL receiver's pid if the working directory of that process is still this folder.
_OURS = """
pid=$(cat "$1.pid" 2>/dev/null)
case $pid in ''|*[!0-9]*) pid=;; esac
test -z "$pid" || test "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(cd -- "$1" 2>/dev/null && pwd -P)" || pid=
"""
# FOLDER: stop the WAL receiver, and wait until it has exited. If it runs for 10 more seconds, kill it.
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
    """WAL receiver of one service. The receiver writes received WAL to ``folder`` on the host of ``tools``."""

    tools: Tools

    @property
    def folder(self) -> str:
        """Path of the folder with the received WAL segments."""
        return f"{self.tools.scratch}/{FOLDER}-{self.tools.service.name}"

    def start(self, seconds: float, name: str) -> int:
        """Start the WAL receiver, wait until it has received data, and return its process ID.

        ``seconds``: time after which the receiver exits in any case; ``name``: ``application_name`` of the receiver on
        the server. Raises StepFailed when the receiver receives nothing, and HostError when the host cannot be used.
        """
        self.tools.make_scratch()
        tools = self.tools
        relay = tools.make_relay_folder() if tools.through_relay else ""
        options = ("--no-loop", "--synchronous", "--status-interval=1")
        argv = tools.asking("pg_receivewal", *options, database="postgres", folder=relay)
        start = ("sh", "-c", _START, "sh", self.folder, str(max(1, round(seconds))), *argv)
        output = tools.host.run(
            tools.relayed(relay, start) if relay else start,
            deadline=self.tools.deadline,
            stdin=passfile(self.tools.service),
            env={"LC_ALL": "C", "PGAPPNAME": name, "PGCONNECT_TIMEOUT": "10"},
        )
        if not output.ok:
            said = output.stderr.decode("utf-8", "backslashreplace").strip()[-400:]
            raise StepFailed(f"{self.tools.host.name}: pg_receivewal does not receive WAL: {said}")
        return int(output.text)

    def stop(self) -> None:
        """Stop the WAL receiver if it runs. The received WAL is kept. Raises HostError when the receiver cannot be
        stopped.
        """
        self.tools.host.run(("sh", "-c", _STOP, "sh", self.folder), deadline=self.tools.deadline).check()

    def alive(self) -> bool:
        """Return True while the WAL receiver runs. Raises HostError when the host cannot be used."""
        output = self.tools.host.run(("sh", "-c", _ALIVE, "sh", self.folder), deadline=self.tools.deadline)
        return output.check().text == "alive"


def name_of(run_id: str) -> str:
    """Return the ``application_name`` of a run's WAL receiver. The server lists this name in ``pg_stat_replication``.

    The name contains a digest of the run's ID, because a server truncates such a name to 63 bytes and the ID may be longer.
    Source: PostgreSQL's manual, 20.8 "Error Reporting and Logging", application_name.
    """
    return f"drillbook-wal-{sha256(run_id.encode())[:16]}"


def stop_quietly(receiver: Receiver) -> None:
    """Stop a WAL receiver whose start failed. Errors of the host are ignored."""
    try:
        Receiver(Tools(receiver.tools.service, receiver.tools.host, Deadline.after(20), receiver.tools.scratch)).stop()
    except HostError:
        return
