"""A helper: a program that keeps a fault up on its host, and ends by itself, whoever dies.

It is detached, gives itself to the kernel's out-of-memory killer first, and ends when its time is over or when the folder
of the fault is gone. Every process of it carries the fault's mark in its environment, so that the undo finds exactly
these: also a worker whose number was never written down. POSIX sh; what is run inside may need more, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Undo
from drillbook.sdk.host import printable
from drillbook.systems.linux.faultstate import REST, SEEN, made_state_folder, state_folder
from drillbook.systems.linux.target import need

VARIABLE = "DRILLBOOK_FAULT"
LONGEST = 3600.0
"""Seconds after which every helper has ended, whatever the drill says."""

# FOLDER MARK: `pids` prints the processes of the helper that live: those with its mark, and those of its pid file.
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
# FOLDER MARK SECONDS BODY ARGV...: starts BODY detached; waits until it says that it is ready, or has ended. What comes on
# standard input lies in FOLDER/private, which nobody else can read.
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
# FOLDER MARK: no process and no file of the helper is left, or it fails.
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
"""What every BODY begins with: ``note PID WORD`` writes a worker down, ``over`` tells when to end, ``$folder/ready`` says
that the fault is there. A folder that is gone means that the undo was here first."""


@dataclass(frozen=True, slots=True)
class Helper:
    """The helper of one step on one host."""

    ctx: Context

    @property
    def folder(self) -> str:
        """Where it keeps its pid file."""
        return state_folder(self.ctx)

    @property
    def mark(self) -> str:
        """What its processes carry in their environment; no other step on any host has the same."""
        return f"{self.ctx.run_id}/{self.ctx.step}/{self.ctx.host.name}/"

    def ready(self) -> None:
        """Raise NotReady unless the host has what detaches a program, and no such folder yet."""
        need(self.ctx, "setsid", "grep", "awk")
        if self.ctx.run("test", "-e", self.folder).ok:
            raise NotReady(
                f"{self.ctx.host.name}: {self.folder} is there already", hint="find out who made it, and remove it"
            )

    def start(self, body: str, seconds: float, *argv: str, private: bytes = b"") -> None:
        """Start ``body`` and wait until it is up; ``private`` is what it finds in its folder. Raises StepFailed."""
        words = (made_state_folder(self.ctx), self.mark, str(max(1, round(seconds))), PRELUDE + body, *argv)
        output = self.ctx.run("sh", "-c", _LAUNCH, "sh", *words, stdin=private)
        why = {
            5: "this step's fault is there already",
            6: "its folder cannot be made in the scratch folder",
            7: "the helper ended at once",
            8: "the helper is not up after 20 s",
        }.get(output.exit or 0)
        if why:
            said = self.ctx.run("sh", "-c", 'test ! -f "$1" || tail -c 500 "$1"', "sh", f"{self.folder}/log")
            raise StepFailed(f"{self.ctx.host.name}: {why}: {printable(said.stdout + output.stderr).strip()[-500:]}")
        output.check()

    def undo(self) -> Undo:
        """End all its processes and remove its folder."""
        return Undo.by_commands(("sh", "-c", _STOP, "sh", self.folder, self.mark))

    def pids(self) -> list[int]:
        """Its processes that live now."""
        output = self.ctx.run("sh", "-c", _PIDS + 'pids "$1" "$2"', "sh", self.folder, self.mark).check()
        return [int(word) for word in output.text.split()]

    def ended_badly(self) -> bool:
        """True when its folder is gone, as after an undo, and processes of it are still there."""
        return bool(self.pids()) and not self.ctx.run("test", "-e", self.folder).ok

    def workers(self, word: str) -> list[int]:
        """Those of them that were noted down as ``word``."""
        script = _PIDS + 'pids "$1" "$2"; echo noted; printf "%s\\n" "$noted"'
        living, _, noted = self.ctx.run("sh", "-c", script, "sh", self.folder, self.mark).check().text.partition("noted\n")
        named = {line.split()[0] for line in noted.splitlines() if line.split()[2:] == [word]}
        return [int(pid) for pid in living.split() if pid in named]
