"""Faults of one running process: pause it, kill it, or limit its resources.

A unit, a pid file or a port selects the process.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo, Write
from drillbook.sdk.manager import manager_of
from drillbook.systems.linux import process_lookup
from drillbook.systems.linux.actions.process.naming import _Named
from drillbook.systems.linux.faultstate import REST, SEEN, made_state_folder, state_folder
from drillbook.systems.linux.process_lookup import Argv, Found
from drillbook.systems.linux.process_selection import PID, START, as_root
from drillbook.values import Duration, Size

# FOLDER PID START TEXT: create the fault's state folder with the data for the undo, before the process is touched.
_CLAIM = (
    SEEN
    + REST
    + """
folder=$1 pid=$2 wanted=$3 kept=$4; shift 4
seen "$pid" && test "$start" = "$wanted" || exit 3
umask 077
mkdir -- "$folder" || exit 5
printf '%s\\n' "$pid $wanted $kept" > "$folder/new" && mv -- "$folder/new" "$folder/process" || exit 6
"""
)
# FOLDER: read the recorded line about the process; if there is none, nothing was done, so the script ends with success.
_KEPT = (
    SEEN
    + REST
    + """
folder=$1; shift
if ! test -f "$folder/process"; then rm -rf -- "$folder"; exit 0; fi
read -r pid wanted kept < "$folder/process"
ours() { seen "$pid" && test "$start" = "$wanted"; }
"""
)
_REFUSED = {
    3: "has exited, or its pid now belongs to another process",
    4: "is already paused by another program",
    5: "cannot be recorded, because this step has already recorded a process",
    6: "cannot be recorded in the scratch folder",
}
# FOLDER PID START: define the same shell function, for a process that was not recorded.
_STILL_IT = (
    SEEN
    + REST
    + """
folder=$1 pid=$2 wanted=$3
ours() { seen "$pid" && test "$start" = "$wanted"; }
"""
)
_STILL = SEEN + 'test -f "$1/process" && read -r pid wanted kept < "$1/process" && seen "$pid" && test "$start" = "$wanted"'


class _OnProcess(_Named, Fault):
    """Base of faults of exactly one process.

    The process is recorded before the fault, so that the undo finds the same process.
    """

    UNDO = ("commands",)

    def _claimed(self, ctx: Context, script: str, kept: str, *argv: str) -> Found:
        """Find and record the process, run ``script`` on it, and return the process.

        Raises NotReady when the process is not found, and StepFailed when the script refuses the process.
        """
        process = self._find(ctx)
        words = ("sh", "-c", _CLAIM + script, "sh", made_state_folder(ctx), PID, START, kept, *argv)
        output = process.run(ctx, *words)
        if output.exit in _REFUSED:
            raise StepFailed(f"{ctx.host.name}: the process {process.pid} {_REFUSED[output.exit]}; it was not changed")
        output.check()
        return process

    def _undone_by(self, ctx: Context, script: str, *argv: str) -> Undo:
        return Undo.by_commands((*as_root(ctx), "sh", "-c", _KEPT + script, "sh", state_folder(ctx), *argv))

    def _kept(self, ctx: Context, script: str, *argv: str) -> bool | None:
        """Return True if ``script`` succeeds for the recorded process, and False if it fails.

        Returns None if no process was recorded, or if the process is gone.
        """
        words = (f"{_STILL} || exit 9\n{script}", "sh", state_folder(ctx), *argv)
        status = ctx.run(*as_root(ctx), "sh", "-c", *words).exit
        return None if status == 9 else status == 0


class Resume(_Named, Write):
    """Resume a paused process, as an engineer would. If the process is not paused, do nothing."""

    UNDO = ("nothing",)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``was_paused`` (true if the process was paused before)."""
        process = self._find(ctx)
        process.run(ctx, "sh", "-c", _STILL_IT + _CONTINUE, "sh", state_folder(ctx), PID, START).check()
        return {"pid": process.pid, "was_paused": process.paused}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the process should keep running."""
        return Undo.nothing("a running process is the wanted state")


# Stop the process. Exit with 4 if it is stopped already. A common part before this script sets pid, state and folder.
_STOP = """
case $state in [Tt]) rm -rf -- "$folder"; exit 4 ;; esac
kill -STOP "$pid"
"""
_CONTINUE = """
tries=0
while ours; do
  case $state in [Tt]) ;; *) break ;; esac
  test "$tries" -lt 50 || { echo "the process $pid stays stopped after kill -CONT" >&2; exit 1; }
  tries=$((tries + 1))
  kill -CONT "$pid"
  rest
done
rm -rf -- "$folder"
"""


class Pause(_OnProcess):
    """Pause a process (SIGSTOP), so that the process seems to hang. It keeps its port, but does not answer.

    Its child processes continue. A service manager may check the health of the process, and kill it.
    """

    def ready(self, ctx: Context) -> None:
        """Check that the process exists and is not paused already, and that the user has the right to send signals to it."""
        if self._decided() and (process := self._find(ctx)).paused:
            raise NotReady(
                f"{ctx.host.name}: the process {process.pid} is already paused by another program",
                hint=f"find out what paused the process; `kill -CONT {process.pid}` resumes it",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid`` of the paused process."""
        return {"pid": self._claimed(ctx, _STOP, "").pid}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that resumes exactly the paused process, and verifies that it continues."""
        return self._undone_by(ctx, _CONTINUE)

    def active(self, ctx: Context) -> bool:
        """Return True while the recorded process is stopped according to /proc.

        If no process was recorded, the selected process is checked.
        """
        stopped = self._kept(ctx, "case $state in [Tt]) exit 0 ;; esac; exit 1")
        if stopped is None:
            try:
                return self._find(ctx).paused
            except NotReady:
                return False  # a process that does not exist is not paused
        return stopped


# KIND NAME: succeed when the service runs again: `file PATH` names another living process, or `port :HEX` has a listener.
_UP = """
up() {
  case $1 in
    file) now=; read -r now other 2>/dev/null < "$2"
      case $now in '' | *[!0-9]*) return 1 ;; esac
      test "$now" != "$pid" && seen "$now" ;;
    port) cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
      awk -v port="$2" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' ;;
  esac
}
"""
# KIND NAME ARGV...: once the process is gone, start the service with ARGV unless it already runs again; wait until it runs.
_REVIVE = (
    _UP
    + """
kind=$1 name=$2; shift 2
if ! ours && ! up "$kind" "$name"; then
  "$@" </dev/null >/dev/null 2>&1 || { echo "\\`start\\` ended with status $?" >&2; exit 1; }
  tries=0
  until up "$kind" "$name"; do
    test "$tries" -lt 200 || { echo "it was started, but is not there" >&2; exit 1; }
    tries=$((tries + 1))
    rest
  done
fi
rm -rf -- "$folder"
"""
)
# SIGNAL: send SIGNAL to the process, and wait until it has ended. Exit with 1 if it does not end.
_KILL = """
kill -"$1" "$pid"
tries=0
while seen "$pid" && test "$start" = "$wanted"; do
  test "$tries" -lt 100 || { echo "the process $pid does not end" >&2; exit 1; }
  tries=$((tries + 1))
  rest
done
"""


class Kill(_OnProcess):
    """Kill a process with a signal.

    The undo starts the unit of the process, or runs the command `start`. If a service manager restarts the process at once,
    the fault cannot be verified. In that case, use `service.stop` instead.
    """

    signal: Annotated[Literal["KILL", "TERM", "ABRT", "QUIT", "SEGV"], Field(description="Signal to send.")] = "KILL"
    start: Annotated[
        Argv,
        Field(
            description=(
                "Command that starts the process again in the background, and then exits. Required with "
                "`pid_file` or `port`."
            )
        ),
    ] = ()

    @model_validator(mode="after")
    def _way_back(self) -> Self:
        if (self.pid_file is not None or self.port is not None) and not self.start:
            raise ValueError("`pid_file` and `port` need `start`: set it to the command that starts the process again")
        return self

    def ready(self, ctx: Context) -> None:
        """Check that the process exists, that the user has the right to send signals to it, and that the host has the
        program in `start`.
        """
        super().ready(ctx)
        if self.known("start") and self.start:
            process_lookup.need(ctx, self.start[0])

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``signal``. Returns when the process is gone."""
        return {"pid": self._claimed(ctx, _KILL, "", self.signal).pid, "signal": self.signal}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the unit of the process again. For a process without a unit, the undo runs the command
        in `start`. It runs nothing when the process is already running again.
        """
        if unit := self._unit(ctx):
            forget = ("rm", "-rf", "--", state_folder(ctx))
            return Undo.by_commands(*manager_of(ctx.host).back(ctx.host, unit, ctx.deadline), (*as_root(ctx), *forget))
        return self._undone_by(ctx, _REVIVE, *self._place(), *self.start)

    def _place(self) -> Argv:
        return ("file", str(self.pid_file)) if self.pid_file is not None else ("port", f":{self.port:04X}")

    def active(self, ctx: Context) -> bool:
        """Return True while the process is gone.

        The process of a unit is gone while the unit is stopped. Any other process is gone while its pid file contains no pid of
        a running process, or while no process listens on its port.
        """
        if unit := self._unit(ctx):
            return manager_of(ctx.host).state(ctx.host, unit, ctx.deadline).state != "running"
        script = f'pid=none wanted=none\n{SEEN}{_UP}up "$1" "$2"'
        return not ctx.run(*as_root(ctx), "sh", "-c", script, "sh", *self._place()).ok


_Files = Annotated[int, Field(ge=3, le=1 << 20)]
_Memory = Annotated[Size, Field(ge=1 << 20)]
_Seconds = Annotated[Duration, Field(ge=1)]
# NAME=SOFT...: set soft limits. With `--nofile=64:` prlimit does not change the hard limit, which an ordinary user could not
# raise again.
_LOWER = """
for pair; do prlimit --pid "$pid" "--$pair:" || exit 1; done
"""
# Set the recorded soft limits again, if the process is still the same one. Exit with 1 if a limit cannot be set.
_RAISE = """
if ours; then
  for pair in $kept; do
    prlimit --pid "$pid" "--$pair:" || ! ours || exit 1
  done
fi
"""
# NAME=SOFT...: succeed when each of these soft limits has the value SOFT, and exit with 1 otherwise.
_AS_SET = """
for pair; do
  soft=$(prlimit --pid "$pid" "--${pair%%=*}" --raw --noheadings --output SOFT | tr -d ' ')
  test "$soft" = "${pair#*=}" || exit 1
done
"""


class Limit(_OnProcess):
    """Lower the soft limits of a running process: open files, memory, CPU time.

    Files that are open stay open, but the process cannot open more. A limit can make the process exit: with `memory`, when
    an allocation fails; with `cpu_time`, when it gets the signal SIGXCPU. If the process has exited, the undo starts its
    unit, or runs the command `start`.
    """

    open_files: Annotated[_Files | None, Field(description="Maximum number of open files.")] = None
    memory: Annotated[_Memory | None, Field(description="Maximum address space, such as `512MiB`.")] = None
    cpu_time: Annotated[
        _Seconds | None, Field(description="Maximum CPU time since the start of the process, in whole seconds.")
    ] = None
    start: Annotated[
        Argv,
        Field(
            description=(
                "Command that starts the process again in the background, and then exits. Required with "
                "`pid_file` or `port`. The undo runs this command only if the process has exited."
            )
        ),
    ] = ()

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.open_files is None and self.memory is None and self.cpu_time is None:
            raise ValueError("no limit is set; set at least one of `open_files`, `memory` and `cpu_time`")
        if (self.pid_file is not None or self.port is not None) and not self.start:
            raise ValueError(
                "`pid_file` and `port` need `start`: the command that starts the process if the limit makes it exit"
            )
        return self

    def _wanted(self) -> dict[str, int]:
        values = {"nofile": self.open_files, "as": self.memory, "cpu": self.cpu_time}
        return {name: int(value) for name, value in values.items() if value is not None}

    def ready(self, ctx: Context) -> None:
        """Check that the host has prlimit (util-linux), and that each limit in the step is lower than the process's present
        limit.
        """
        super().ready(ctx)
        process_lookup.need(ctx, "prlimit", *self.start[:1] if self.known("start") else ())
        if self._decided() and all(map(self.known, ("open_files", "memory", "cpu_time"))):
            self._soft(ctx, self._find(ctx))

    def _soft(self, ctx: Context, process: Found) -> dict[str, str]:
        """Return the present soft limits of the process. Raises NotReady when one of them is not above the wanted limit."""
        seen = {}
        for name, wanted in self._wanted().items():
            said = process.run(ctx, "prlimit", "--pid", PID, f"--{name}", "--raw", "--noheadings", "--output", "SOFT")
            if not said.ok:
                raise NotReady(
                    f"{ctx.host.name}: the limits of process {process.pid} cannot be read",
                    hint="run as the user of the process, or set `manager: {sudo: true}` for the host",
                )
            seen[name] = said.text.strip()
            if seen[name].isdigit() and int(seen[name]) <= wanted:
                raise NotReady(
                    f"{ctx.host.name}: the limit {name} of process {process.pid} is already {seen[name]}",
                    hint="choose a lower limit, or find out what lowered the present limit",
                )
        return seen

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``was`` and ``is`` (the old and the new soft limits)."""
        was = self._soft(ctx, self._find(ctx))
        pairs = [f"{name}={value}" for name, value in self._wanted().items()]
        kept = " ".join(f"{name}={value}" for name, value in was.items())
        return {"pid": self._claimed(ctx, _LOWER, kept, *pairs).pid, "was": was, "is": self._wanted()}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that restores the soft limits of the process. If the process exited because of the lowered
        limits, the undo starts it again."""
        if unit := self._unit(ctx):
            back = self._undone_by(ctx, _RAISE + 'rm -rf -- "$folder"')
            return Undo.by_commands(*back.commands, *manager_of(ctx.host).back(ctx.host, unit, ctx.deadline))
        place = ("file", str(self.pid_file)) if self.pid_file is not None else ("port", f":{self.port:04X}")
        return self._undone_by(ctx, _RAISE + _REVIVE, *place, *self.start)

    def active(self, ctx: Context) -> bool:
        """Return True while the process has the lowered limits. Return True also while the process is down, because a
        lowered limit can make it exit.
        """
        pairs = [f"{name}={value}" for name, value in self._wanted().items()]
        lowered = self._kept(ctx, f"shift\n{_AS_SET}", *pairs)
        if lowered is not None:
            return lowered
        try:
            process = self._find(ctx)
        except NotReady:
            return True
        return process.run(ctx, "sh", "-c", f"pid=$1; shift\n{_AS_SET}", "sh", PID, *pairs).ok
