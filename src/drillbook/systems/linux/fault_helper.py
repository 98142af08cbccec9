"""Helper program that maintains a fault on its host. It exits when the time of the fault is over, even if the controller has
died.

The helper is detached from the step. The out-of-memory killer kills it before other processes. It also exits when the
folder of the fault is removed. All its processes have the fault's mark in their environment. By this mark the undo finds
every process of the helper, even a worker with an unrecorded pid, and no other process. The helper needs only POSIX sh. The
script that it runs may need more tools. The fault checks that the host has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Undo
from drillbook.sdk.host import printable
from drillbook.systems.linux.faultstate import REST, SEEN, made_state_folder, state_folder
from drillbook.systems.linux.process_lookup import need
from drillbook.values import Duration

VARIABLE = "DRILLBOOK_FAULT"
LONGEST = 3600.0
"""Maximum lifetime of a helper in seconds, whatever the drill declares."""
Lasting = Annotated[
    Duration,
    Field(
        alias="for",
        ge=1,
        le=LONGEST,
        description="Time after which the fault ends by itself, even if the controller has died. At most 1h.",
    ),
]
"""Type of the field `for`: the duration of a fault. A helper process on the host maintains the fault for this time."""

# FOLDER MARK: `pids` prints the living processes of the helper: those that have its mark, and the process in its pid file.
_PIDS = (
    SEEN
    + REST
    + """
pids() {
  {
    printf %s "DRILLBOOK_FAULT=$2" | LC_ALL=C grep -lsF -f - /proc/[0-9]*/environ | tr -dc '0-9\\n'
    printf '%s\\n' "$noted" | while read -r pid wanted other; do
      test -n "$pid" && seen "$pid" && test "$start" = "$wanted" && echo "$pid"
    done
  } | sort -u | while read -r pid; do ! seen "$pid" || echo "$pid"; done
}
noted=
test -f "$1/pid" && noted=$(cat -- "$1/pid")
"""
)
# FOLDER MARK SECONDS BODY ARGV...: start BODY detached; wait until it reports that it is ready, or has exited. Standard
# input is stored in FOLDER/private, which nobody else can read.
_LAUNCH = (
    _PIDS
    + """
folder=$1 mark=$2 seconds=$3 body=$4
umask 077
mkdir -- "$folder" || exit 5
cat > "$folder/private" || exit 6
shift 4
DRILLBOOK_FAULT="$mark" setsid sh -c "$body" drillbook-fault "$folder" "$seconds" "$@" </dev/null >"$folder/log" 2>&1 &
tries=0
until test -e "$folder/ready"; do
  tries=$((tries + 1))
  if test "$tries" -gt 20; then
    noted=$(cat -- "$folder/pid" 2>/dev/null)
    test -n "$(pids "$folder" "$mark")" || exit 7
  fi
  test "$tries" -lt 200 || exit 8
  rest
done
"""
)
# FOLDER MARK: kill all processes of the helper and remove its files; fails when any process remains.
_STOP = (
    _PIDS
    + """
tries=0
while :; do
  rm -rf -- "$1"
  left=$(pids "$1" "$2")
  test -n "$left" || test -e "$1" || exit 0
  for pid in $left; do kill -KILL "$pid" 2>/dev/null; done
  tries=$((tries + 1))
  test "$tries" -lt 100 || { echo "helpers that do not end: $(echo $left)" >&2; exit 1; }
  rest
done
"""
)
PRELUDE = (
    SEEN
    + REST
    + """
folder=$1 seconds=$2; shift 2
cd /
echo 1000 2>/dev/null > "/proc/$$/oom_score_adj"
read -r up other < /proc/uptime
end=$((${up%.*} + seconds))
note() { seen "$1" && printf '%s\\n' "$1 $start $2" >> "$folder/pid"; }
over() { test -d "$folder" || return 0; read -r up other < /proc/uptime; test "${up%.*}" -ge "$end"; }
note $$ main || exit 1
"""
)
"""Shell functions for the scripts of faults. ``note PID WORD`` records a worker process. ``over`` succeeds when the time
limit of the fault has passed, or when the folder ``$folder`` is missing. A missing folder means that the undo has already run.

The file ``$folder/ready`` says that the fault is in place.
"""


@dataclass(frozen=True, slots=True)
class Helper:
    """Helper program of one step on one host. This class starts it, finds its processes, and returns its undo."""

    ctx: Context

    @property
    def folder(self) -> str:
        """Folder that contains the helper's pid file."""
        return state_folder(self.ctx)

    @property
    def mark(self) -> str:
        """Text in the environment of all processes of the helper, by which they are found. It is different for each run, step
        and host.
        """
        return f"{self.ctx.run_id}/{self.ctx.step}/{self.ctx.host.name}/"

    def ready(self) -> None:
        """Raise NotReady when the helper's folder exists already, or when the host lacks the tools to detach a program."""
        need(self.ctx, "setsid", "grep", "awk")
        if self.ctx.run("test", "-e", self.folder).ok:
            raise NotReady(
                f"{self.ctx.host.name}: {self.folder} already exists", hint="find out what created the folder, and remove it"
            )

    def start(self, body: str, seconds: float, *argv: str, private: bytes = b"") -> None:
        """Start the shell script ``body`` as the helper, and wait until it is ready. Raises StepFailed when the helper does
        not become ready.

        ``private``: data that the script reads from a file. Nobody else can read this file.
        """
        words = (made_state_folder(self.ctx), self.mark, str(max(1, round(seconds))), PRELUDE + body, *argv)
        output = self.ctx.run("sh", "-c", _LAUNCH, "sh", *words, stdin=private)
        why = {
            5: "the fault of this step already exists",
            6: "the helper's folder cannot be created in the scratch folder",
            7: "the helper program exited at once",
            8: "the helper program was not ready after 20 s",
        }.get(output.exit or 0)
        if why:
            said = self.ctx.run("sh", "-c", 'test ! -f "$1" || tail -c 500 "$1"', "sh", f"{self.folder}/log")
            raise StepFailed(f"{self.ctx.host.name}: {why}: {printable((said.stdout + output.stderr).strip(), limit=500)}")
        output.check()

    def undo(self) -> Undo:
        """Return an undo that kills all processes of the helper and removes its folder."""
        return Undo.by_commands(("sh", "-c", _STOP, "sh", self.folder, self.mark))

    def pids(self) -> list[int]:
        """Return the pids of the helper's running processes."""
        output = self.ctx.run("sh", "-c", _PIDS + 'pids "$1" "$2"', "sh", self.folder, self.mark).check()
        return [int(word) for word in output.text.split()]

    def ended_badly(self) -> bool:
        """Return True when the undo has removed the helper's folder, but some processes of the helper still run."""
        return bool(self.pids()) and not self.ctx.run("test", "-e", self.folder).ok

    def workers(self, word: str) -> list[int]:
        """Return the pids of the running processes that the helper recorded under the name ``word``."""
        script = _PIDS + 'pids "$1" "$2"; echo noted; printf "%s\\n" "$noted"'
        living, _, noted = self.ctx.run("sh", "-c", script, "sh", self.folder, self.mark).check().text.partition("noted\n")
        named = {line.split()[0] for line in noted.splitlines() if line.split()[2:] == [word]}
        return [int(pid) for pid in living.split() if pid in named]
