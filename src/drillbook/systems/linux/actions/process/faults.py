"""Faults of one running process: paused, killed, squeezed by limits. Named by unit, pid file or port, never by pattern."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo, Write
from drillbook.sdk.manager import manager_of
from drillbook.systems.linux import target
from drillbook.systems.linux.actions.process.naming import _Named
from drillbook.systems.linux.faultstate import REST, SEEN, made_state_folder, state_folder
from drillbook.systems.linux.target import Argv, Found, as_root
from drillbook.values import Duration, Size

# FOLDER PID START TEXT: claims the fault's state folder and keeps in it what the undo has to know, before anything is done.
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
# FOLDER: the kept line; ends the script with success when there is none, since then nothing was done.
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
    3: "is gone, or is another one now",
    4: "is paused by somebody else",
    5: "has this step's fault already",
    6: "cannot be noted down in the scratch folder",
}
# FOLDER PID START: the same for a process that nobody noted down.
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
    """A fault of exactly one process."""

    UNDO = ("commands",)

    def _claimed(self, ctx: Context, script: str, kept: str, *argv: str) -> Found:
        """Find the process, note it down, then do ``script`` to it. Raises NotReady, StepFailed."""
        found = self._find(ctx)
        words = (made_state_folder(ctx), str(found.pid), str(found.start), kept, *argv)
        output = ctx.run(*as_root(ctx), "sh", "-c", _CLAIM + script, "sh", *words)
        if output.exit in _REFUSED:
            raise StepFailed(f"{ctx.host.name}: the process {found.pid} {_REFUSED[output.exit]}; nothing was done to it")
        output.check()
        return found

    def _undone_by(self, ctx: Context, script: str, *argv: str) -> Undo:
        return Undo.by_commands((*as_root(ctx), "sh", "-c", _KEPT + script, "sh", state_folder(ctx), *argv))

    def _kept(self, ctx: Context, script: str, *argv: str) -> bool | None:
        """What ``script`` says of the process that was noted down: None when none is, or it is gone."""
        words = (f"{_STILL} || exit 9\n{script}", "sh", state_folder(ctx), *argv)
        status = ctx.run(*as_root(ctx), "sh", "-c", *words).exit
        return None if status == 9 else status == 0


class Resume(_Named, Write):
    """Let a paused process go on, as an engineer does who finds it; nothing happens to one that is not paused."""

    UNDO = ("nothing",)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``was_paused``."""
        found = self._find(ctx)
        words = (_STILL_IT + _CONTINUE, "sh", state_folder(ctx), str(found.pid), str(found.start))
        ctx.run(*as_root(ctx), "sh", "-c", *words).check()
        return {"pid": found.pid, "was_paused": found.paused}

    def undo(self, ctx: Context) -> Undo:
        """A process that runs is what is wanted."""
        return Undo.nothing("a running process is the wanted state")


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
    """Stop a process in its tracks (SIGSTOP), as when it hangs: it is there, holds its port, and answers nothing.

    Its children go on. A service manager that watches its health may kill it.
    """

    def ready(self, ctx: Context) -> None:
        """The process must be there, ours to touch, and not paused already."""
        if self._decided() and (found := self._find(ctx)).paused:
            raise NotReady(
                f"{ctx.host.name}: the process {found.pid} is paused already, by somebody else",
                hint=f"find out who paused it; `kill -CONT {found.pid}` lets it go on",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid``."""
        return {"pid": self._claimed(ctx, _STOP, "").pid}

    def undo(self, ctx: Context) -> Undo:
        """Let exactly that process go on, and see that it does."""
        return self._undone_by(ctx, _CONTINUE)

    def active(self, ctx: Context) -> bool:
        """True while /proc shows the process as stopped: the one that was noted down, else the one there is now."""
        stopped = self._kept(ctx, "case $state in [Tt]) exit 0 ;; esac; exit 1")
        if stopped is None:
            try:
                return self._find(ctx).paused
            except NotReady:
                return False  # a process that is not there is not paused
        return stopped


# Is the service there again? KIND NAME: `file PATH`, a pid file of another living process, or `port :HEX`, a listener.
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
# KIND NAME ARGV...: starts it by ARGV once the process is gone, unless it is there again; waits until it is.
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
    """End a process by a signal. Its unit, or `start`, brings it back.

    A service manager that restarts it at once leaves no fault to prove: use `service.stop` there.
    """

    signal: Annotated[Literal["KILL", "TERM", "ABRT", "QUIT", "SEGV"], Field(description="The signal.")] = "KILL"
    start: Annotated[
        Argv, Field(description="Command that starts it again and returns; needed with `pid_file` and `port`.")
    ] = ()

    @model_validator(mode="after")
    def _way_back(self) -> Self:
        if (self.pid_file is not None or self.port is not None) and not self.start:
            raise ValueError("a process that is named by `pid_file` or `port` needs `start`, the command that starts it")
        return self

    def ready(self, ctx: Context) -> None:
        """The process must be there and ours, and so must the program that starts it again."""
        super().ready(ctx)
        if self.known("start") and self.start:
            target.need(ctx, self.start[0])

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``signal``. Waits until the process is gone."""
        return {"pid": self._claimed(ctx, _KILL, "", self.signal).pid, "signal": self.signal}

    def undo(self, ctx: Context) -> Undo:
        """Start the unit; without one, run `start` unless the service is there again."""
        if unit := self._unit(ctx):
            forget = ("rm", "-rf", "--", state_folder(ctx))
            return Undo.by_commands(*manager_of(ctx.host).back(ctx.host, unit, ctx.deadline), (*as_root(ctx), *forget))
        return self._undone_by(ctx, _REVIVE, *self._place(), *self.start)

    def _place(self) -> Argv:
        return ("file", str(self.pid_file)) if self.pid_file is not None else ("port", f":{self.port:04X}")

    def active(self, ctx: Context) -> bool:
        """True while the process is not there: the unit does not run, the pid file names nobody, nobody listens."""
        if unit := self._unit(ctx):
            return manager_of(ctx.host).state(ctx.host, unit, ctx.deadline).state != "running"
        script = f'pid=none wanted=none\n{SEEN}{_UP}up "$1" "$2"'
        return not ctx.run(*as_root(ctx), "sh", "-c", script, "sh", *self._place()).ok


_Files = Annotated[int, Field(ge=3, le=1 << 20)]
_Memory = Annotated[Size, Field(ge=1 << 20)]
_Seconds = Annotated[Duration, Field(ge=1)]
# NAME=SOFT...: sets soft limits. `prlimit --nofile=64:` leaves the hard one, which an ordinary user could not raise again.
_LOWER = """
for pair; do prlimit --pid "$pid" "--$pair:" || exit 1; done
"""
_RAISE = """
if ours; then
  for pair in $kept; do
    prlimit --pid "$pid" "--$pair:" || ! ours || exit 1
  done
fi
"""
_AS_SET = """
for pair; do
  soft=$(prlimit --pid "$pid" "--${pair%%=*}" --raw --noheadings --output SOFT | tr -d ' ')
  test "$soft" = "${pair#*=}" || exit 1
done
"""


class Limit(_OnProcess):
    """Lower the soft limits of a running process: open files, memory, time on the processor.

    What is open stays open; what it asks for next is refused. A process that cannot bear that may end: with `memory` on
    a failed allocation, with `cpu_time` by SIGXCPU. Its unit, or `start`, then brings it back.
    """

    open_files: Annotated[_Files | None, Field(description="Most open files.")] = None
    memory: Annotated[_Memory | None, Field(description="Most address space, such as `512MiB`.")] = None
    cpu_time: Annotated[_Seconds | None, Field(description="Most processor time since its start, in whole seconds.")] = None
    start: Annotated[
        Argv,
        Field(description="Command that starts it again and returns, should it end; needed with `pid_file` and `port`."),
    ] = ()

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.open_files is None and self.memory is None and self.cpu_time is None:
            raise ValueError("name a limit: `open_files`, `memory` or `cpu_time`")
        if (self.pid_file is not None or self.port is not None) and not self.start:
            raise ValueError("a process that is named by `pid_file` or `port` needs `start`, should it end under its limit")
        return self

    def _wanted(self) -> dict[str, int]:
        values = {"nofile": self.open_files, "as": self.memory, "cpu": self.cpu_time}
        return {name: int(value) for name, value in values.items() if value is not None}

    def ready(self, ctx: Context) -> None:
        """prlimit (util-linux) must be there, and every limit lower than what the process has."""
        super().ready(ctx)
        target.need(ctx, "prlimit", *self.start[:1] if self.known("start") else ())
        if self._decided() and all(map(self.known, ("open_files", "memory", "cpu_time"))):
            self._soft(ctx, self._find(ctx))

    def _soft(self, ctx: Context, found: Found) -> dict[str, str]:
        """The soft limits that it has now. Raises NotReady when one is not above the wanted one."""
        seen = {}
        for name, wanted in self._wanted().items():
            said = ctx.run(
                *as_root(ctx), "prlimit", "--pid", str(found.pid), f"--{name}", "--raw", "--noheadings", "--output", "SOFT"
            )
            if not said.ok:
                raise NotReady(
                    f"{ctx.host.name}: the limits of process {found.pid} cannot be read",
                    hint="run as its user, or set `manager: {sudo: true}` for the host",
                )
            seen[name] = said.text.strip()
            if seen[name].isdigit() and int(seen[name]) <= wanted:
                raise NotReady(
                    f"{ctx.host.name}: the limit {name} of process {found.pid} is {seen[name]} already",
                    hint="choose a lower limit, or find out who lowered it",
                )
        return seen

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``was`` and ``is``: the soft limits before and now."""
        was = self._soft(ctx, self._find(ctx))
        pairs = [f"{name}={value}" for name, value in self._wanted().items()]
        kept = " ".join(f"{name}={value}" for name, value in was.items())
        return {"pid": self._claimed(ctx, _LOWER, kept, *pairs).pid, "was": was, "is": self._wanted()}

    def undo(self, ctx: Context) -> Undo:
        """Give that process its soft limits back; start it again when it ended under them."""
        if unit := self._unit(ctx):
            back = self._undone_by(ctx, _RAISE + 'rm -rf -- "$folder"')
            return Undo.by_commands(*back.commands, *manager_of(ctx.host).back(ctx.host, unit, ctx.deadline))
        place = ("file", str(self.pid_file)) if self.pid_file is not None else ("port", f":{self.port:04X}")
        return self._undone_by(ctx, _RAISE + _REVIVE, *place, *self.start)

    def active(self, ctx: Context) -> bool:
        """True while the kernel shows the lowered limits for the process, or it ended under them and is not back."""
        pairs = [f"{name}={value}" for name, value in self._wanted().items()]
        lowered = self._kept(ctx, f"shift\n{_AS_SET}", *pairs)
        if lowered is not None:
            return lowered
        try:
            pid = self._find(ctx).pid
        except NotReady:
            return True
        return ctx.run(*as_root(ctx), "sh", "-c", f"pid=$1; shift\n{_AS_SET}", "sh", str(pid), *pairs).ok
