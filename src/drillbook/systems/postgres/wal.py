"""Starts and stops a WAL receiver: a process on the host that streams the server's WAL (write-ahead log) to a folder.

The process runs ``pg_receivewal`` in the background. A temporary replication slot keeps WAL on the server until it is
received: without it, a checkpoint can remove WAL that the receiver has not read yet, and the receiver exits. The slot
belongs to a session of psql that ends when the receiver has exited, and the server drops the slot with this session. So
nothing remains on the server, even if the host loses power.
The folder for the received WAL is in the run's folder, outside the data directory. A recovery in the drill reads the WAL
from this folder, as it would read it from a WAL archive.
Source: PostgreSQL's manual, 26.2.6 "Replication Slots", and 9.28.6 "Replication Management Functions".
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass

from drillbook.errors import HostError, StepFailed
from drillbook.sdk.host import Deadline, printable
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.postgres.programs import Tools, passfile

FOLDER = "wal"
"""First part of the name of the folder for received WAL. This folder is in the run's folder on the host."""
_KEPT = "drillbook keeps the log"
"""Message of the session that owns the slot, once the slot exists."""
_FOLLOWS = "drillbook follows the receiver"
"""Its message once the WAL receiver is connected: from now on it ends with the receiver."""
_KEEP = """
DO $$
DECLARE
  slot CONSTANT name := '{slot}';
  begun CONSTANT timestamptz := pg_catalog.clock_timestamp();
  seen boolean := false;
  got pg_catalog.pg_lsn;
BEGIN
  PERFORM pg_catalog.pg_create_physical_replication_slot(slot, true, true);
  COMMIT;
  RAISE INFO '{kept}';
  LOOP
    SELECT flush_lsn INTO got FROM pg_catalog.pg_stat_replication WHERE application_name = '{receiver}';
    IF FOUND THEN
      IF NOT seen THEN RAISE INFO '{follows}'; END IF;
      seen := true;
    ELSIF seen OR pg_catalog.clock_timestamp() - begun > '60 s' THEN
      EXIT;
    END IF;
    PERFORM pg_catalog.pg_replication_slot_advance(slot, got)
    FROM pg_catalog.pg_replication_slots WHERE slot_name = slot AND restart_lsn < got;
    COMMIT;
    PERFORM pg_catalog.pg_sleep(0.2);
  END LOOP;
END $$
"""
"""Statement of the session that owns the slot. It ends when the receiver is connected no more, or never connects.

Each COMMIT ends a transaction, so that the session holds back no vacuum. The slot follows the receiver.
"""
# FOLDER SECONDS KEEPER PROGRAM...: the passfile exists until the stream has begun. KEEPER is the command line of the session
# that owns the slot; the WAL receiver starts once the slot exists. Print the WAL receiver's pid once data has arrived; files
# older than the passfile are from an earlier WAL receiver. `timeout` kills both after SECONDS, and exits together with them.
# The pid file contains the pid of the WAL receiver, not that of `timeout`.
_START = """
umask 077
folder=$1 seconds=$2 keeper=$3; shift 3
IFS= read -r line || exit 126
mkdir -p -- "$folder" && cd -- "$folder" || exit 6
printf '%s\\n' "$line" > "$folder.passfile" || exit 6
rm -f -- "$folder.pid" "$folder.keeper.pid"
export PGPASSFILE="$folder.passfile"
await() {
  tries=0
  until "$@"; do
    kill -0 "$pid" 2>/dev/null || break
    test $tries -lt 600 || break
    tries=$((tries + 1)); sleep 0.05
  done
  "$@"
}
fail() { rm -f -- "$folder.passfile"; cat "$1" >&2; kill "$pid" 2>/dev/null; exit "$2"; }
setsid timeout -k 60 "$seconds" sh -c "$keeper" </dev/null >"$folder.keeper.log" 2>&1 &
pid=$!
echo "$pid" > "$folder.keeper.pid"
kept() { grep -q '{kept}' "$folder.keeper.log"; }
await kept || fail "$folder.keeper.log" 7
setsid timeout -k 60 -s INT "$seconds" sh -c 'echo "$$" > "$1.pid" && shift && exec "$@"' \\
  sh "$folder" "$@" --directory="$folder" </dev/null >"$folder.log" 2>&1 &
pid=$!
begun() { find . ! -name . -prune -type f -newer "$folder.passfile" | grep -q '/[0-9A-F]\\{24\\}'; }
await begun || fail "$folder.log" 5
follows() { grep -q '{follows}' "$folder.keeper.log"; }
await follows || fail "$folder.keeper.log" 7
rm -f -- "$folder.passfile"
cat -- "$folder.pid"
""".replace("{kept}", _KEPT).replace("{follows}", _FOLLOWS)
_NOT_KEPT = 7
"""Exit status of the start when the slot could not be made."""
# FILE FOLDER: set pid to the pid in FILE if the working directory of that process is still FOLDER.
_OURS = """
ours() {
  pid=$(cat "$1" 2>/dev/null)
  case $pid in ''|*[!0-9]*) pid=;; esac
  test -z "$pid" || test "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(cd -- "$2" 2>/dev/null && pwd -P)" || pid=
}
"""
# FOLDER: stop the WAL receiver, and wait until it has exited. If it runs for 10 more seconds, kill it. Then stop the session
# that owns the slot in the same way; it usually exits by itself.
_STOP = (
    _OURS
    + """
stop() {
  ours "$1" "$2"
  test -z "$pid" || kill -"$3" "$pid" 2>/dev/null
  tries=0
  while test -n "$pid" && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"; do
    tries=$((tries + 1)); sleep 0.05
    test $tries -lt 200 || { kill -KILL "$pid"; tries=0; }
  done
}
stop "$1.pid" "$1" INT
stop "$1.keeper.pid" "$1" TERM
rm -f -- "$1.pid" "$1.keeper.pid" "$1.passfile"
"""
)
_NO_SLOT = "the server cannot keep WAL for the receiver, because a temporary replication slot could not be made"
_ALIVE = _OURS + 'ours "$1.pid" "$1"; if test -n "$pid"; then echo alive; else echo gone; fi'


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
        keeper = "exec " + shlex.join(tools.asking("psql", *_keeping(name), database="postgres", folder=relay))
        start = ("sh", "-c", _START, "sh", self.folder, str(max(1, round(seconds))), keeper, *argv)
        output = tools.host.run(
            tools.relayed(relay, start) if relay else start,
            deadline=self.tools.deadline,
            stdin=passfile(self.tools.service),
            env={"LC_ALL": "C", "PGAPPNAME": name, "PGCONNECT_TIMEOUT": "10"},
        )
        if not output.ok:
            said = printable(output.stderr.strip(), limit=400)
            wrong = _NO_SLOT if output.exit == _NOT_KEPT else "pg_receivewal does not receive WAL"
            raise StepFailed(f"{self.tools.host.name}: {wrong}: {said}")
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


def _keeping(receiver: str) -> tuple[str, ...]:
    """Return the arguments of psql for the session that owns the slot. ``receiver``: ``application_name`` of the WAL
    receiver.
    """
    statement = _KEEP.format(slot=f"drillbook_{secrets.token_hex(6)}", receiver=receiver, kept=_KEPT, follows=_FOLLOWS)
    return ("--no-psqlrc", "--quiet", "--command=SET statement_timeout = 0", f"--command={statement}")


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
