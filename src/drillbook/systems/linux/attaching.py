"""Attaches memray (https://bloomberg.github.io/memray/attach.html) to a running process on its host, for a limited time.

A debugger loads memray into the process. To do so, the debugger sets breakpoints, and waits until the process allocates
memory. If the debugger were killed during this wait, the breakpoints would stay, and the first of them would kill the
process. Therefore the debugger runs independently of the step, and is never killed. If the process allocates nothing for
too long, a signal asks the debugger to detach. A timer in the process itself ends the trace, even when the controller is
gone.

For gdb, this signal is SIGINT. gdb then restores the registers of the process, even during a function that gdb itself calls
in the process. SIGTERM during such a function would crash the process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import printable
from drillbook.sdk.target_folders import root_of
from drillbook.systems.linux.allocations import MOST_FRAMES, MOST_STACKS
from drillbook.systems.linux.faultstate import REST, SEEN
from drillbook.systems.linux.process_lookup import Found
from drillbook.systems.linux.process_selection import ANOTHER, PID, START
from drillbook.systems.linux.spying import MOST_BYTES

PATIENCE = 60
"""Seconds within which the process must allocate memory. After that, the debugger detaches."""
LATE = 60
"""Seconds that a trace may last longer than planned."""
LARGEST_CAPTURE = 256 << 20

_SHELL = (
    SEEN
    + REST
    + """
ours() { seen "$pid" && test "$start" = "$wanted"; }
tracer() { awk '/^TracerPid:/ { print $2; found = 1 } END { if (!found) print 0 }' "/proc/$pid/status" 2>/dev/null; }
now() { read -r up idle < /proc/uptime; now=${up%.*}; }
"""
)
# PID START PATIENCE FOLDER PROGRAM...: run detached, and write `said` and `done` to the folder. The debugger is asked to
# detach only while it neither holds the process stopped (state t) nor loads anything into it; after 30 more seconds in any
# case.
_GUARD = (
    _SHELL
    + """
pid=$1 wanted=$2 patience=$3 folder=$4; shift 4
"$@" >"$folder/said" 2>&1 </dev/null &
child=$!
mapped() { grep -c _inject "/proc/$pid/maps" 2>/dev/null; }
detach() { case $(cat "/proc/$1/comm" 2>/dev/null) in gdb*) kill -INT "$1" ;; *) kill -TERM "$1" ;; esac 2>/dev/null; }
before=$(mapped)
now; end=$((now + patience))
while kill -0 "$child" 2>/dev/null; do
  now
  if test "$now" -ge "$end" && ours; then
    by=$(tracer)
    if test "$by" -gt 1 && { { test "$state" != t && test "$(mapped)" = "$before"; } || test "$now" -ge $((end + 30)); }; then
      echo idle >"$folder/idle"; detach "$by"; end=$((now + 5))
    fi
  fi
  rest
done
wait "$child"
echo "$?" >"$folder/status"; mv "$folder/status" "$folder/done"
"""
)
# Print what prevents a trace, as one word on standard error; WHY maps each word to an explanation.
_BEFORE = (
    _SHELL
    + """
stop() { echo "drillbook: $1" >&2; exit 9; }
command -v -- "$program" >/dev/null || stop program
command -v gdb >/dev/null || command -v lldb >/dev/null || stop debugger
ours || stop ended
test "$(tracer)" = 0 || stop traced
maps=$(cat "/proc/$pid/maps" 2>/dev/null) && test -n "$maps" || stop rights
for space in mnt net; do
  here=$(readlink "/proc/$$/ns/$space"); there=$(readlink "/proc/$pid/ns/$space") || stop rights
  test "$here" = "$there" || stop apart
done
case $maps in *memray*)
  ls -l "/proc/$pid/fd" 2>/dev/null | grep -q -- "-> /proc/$pid/status\\$" && stop watched ;;
esac
"""
)
# CAPTURE STACKS FRAMES: print the memory that memray's CAPTURE shows as still held, as JSON. STACKS and FRAMES are limits.
_READ = """
import json, sys
from memray import FileReader
reader = FileReader(sys.argv[1])
held = sorted(reader.get_leaked_allocation_records(merge_threads=True), key=lambda one: -one.size)
places, rows = {}, []
for one in held[:int(sys.argv[2])]:
    frames = one.stack_trace()[:int(sys.argv[3])]
    rows.append([one.size, one.n_allocations, [places.setdefault(tuple(frame), len(places)) for frame in frames]])
meta = reader.metadata
json.dump({"held_bytes": sum(one.size for one in held), "held_allocations": sum(one.n_allocations for one in held),
           "peak_bytes": meta.peak_memory, "seconds": (meta.end_time - meta.start_time).total_seconds(),
           "places": list(places), "rows": rows}, sys.stdout)
"""
# PID START SECONDS FOLDER PROGRAM PATIENCE LATE LARGEST MOST-BYTES GUARD READER STACKS FRAMES
_WATCH = (
    """
pid=$1 wanted=$2 seconds=$3 folder=$4.$$ program=$5 patience=$6 late=$7 largest=$8 bytes=$9; shift 9
"""
    + _BEFORE
    + """
umask 077
mkdir -- "$folder" || stop folder
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 8' HUP INT TERM
owner=$(awk '/^Uid:/ { print $3 }' "/proc/$pid/status")
mkdir "$folder/in" && chmod 711 "$folder" && { test "$owner" = "$(id -u)" || chown "$owner" "$folder/in"; } || stop rights
capture=$folder/in/capture
(setsid sh -c "$1" sh "$pid" "$wanted" "$patience" "$folder" "$program" attach --aggregate --no-compress \\
  --duration "$seconds" -o "$capture" "$pid" </dev/null >/dev/null 2>&1 &)
while ! test -e "$folder/done"; do ours || stop ended; rest; done
ours || stop ended
if test "$(cat "$folder/done")" != 0; then
  test -e "$folder/idle" && stop idle
  head -c 2000 "$folder/said" >&2; stop refused
fi
now; end=$((now + seconds + late))
while ls -l "/proc/$pid/fd" 2>/dev/null | grep -q -F -- "-> $capture"; do
  now; test "$now" -lt "$end" || stop attached
  rest
done
ours || stop ended
test "$(stat -c %s "$capture")" -le "$largest" || stop large
real=$(readlink -f -- "$(command -v -- "$program")"); python=${real%/*}/python3; test -x "$python" || python=python3
{ "$python" -c "$2" "$capture" "$3" "$4" >&3 2>"$folder/said" || { head -c 2000 "$folder/said" >&2; stop unread; }; } 3>&1 |
  head -c "$bytes"
"""
)


@dataclass(frozen=True, slots=True)
class _Why:
    said: str
    hint: str


_ROOT = "allow ptrace and run as the user of the process, or run as root: `manager: {sudo: true}` for the host"
_OWN = "install memray in the environment of the application itself, and set `program` to that memray"
_WHY = {
    "program": _Why("{program} does not exist", "install memray (`pip install memray`), or set `program` to its path"),
    "debugger": _Why(
        "memray needs gdb or lldb, but neither of them is installed", "install gdb on the host (package `gdb`)"
    ),
    "traced": _Why("process {pid} is already traced by another program", "stop that debugger or tracer, then try again"),
    "watched": _Why(
        "memray already traces process {pid}", "wait until that trace ends, or end the trace with `memray detach {pid}`"
    ),
    "rights": _Why("this user may not trace process {pid}", _ROOT),
    "apart": _Why(
        "process {pid} has a mount or network namespace of its own, as in a container or under PrivateTmp",
        "let the application trace itself: set `path`",
    ),
    "folder": _Why("the folder for the capture cannot be created", "check `scratch` of the host in the inventory"),
    "idle": _Why(
        f"process {{pid}} allocated nothing within {PATIENCE} s, so memray could not start; the process continues unchanged",
        "cause activity in the process during the trace, such as a request",
    ),
    "attached": _Why(
        "memray still traces process {pid} after the end of the trace",
        "end the trace with `memray detach {pid}` on the host",
    ),
    "large": _Why(f"the capture is larger than {LARGEST_CAPTURE} bytes", "choose fewer `seconds`"),
    "unread": _Why("the capture cannot be read: {said}", _OWN),
}


def _open_folder(ctx: Context) -> str:
    """Return the beginning of the path of the folder for the trace. The script on the host appends a number, and creates the
    folder.

    The traced process must write to a subfolder of this folder, and the process may belong to another user. Therefore the
    folder is in `scratch` itself, and not in Drillbook's private folder.
    """
    return f"{root_of(ctx.host)}-{ctx.run_id}.{ctx.step}.allocations"


def watch(ctx: Context, process: Found, program: str, seconds: int) -> str:
    """Trace the process for ``seconds`` with memray (``program``). Return the JSON that ``allocations.of_memray`` parses.

    Raises CouldNotVerify when the process cannot be traced. Raises StepFailed when the process exited during the trace.
    """
    sink = Answer(f"{ctx.host.name}: the output of {program}", MOST_BYTES)
    output = process.run(
        ctx,
        "sh",
        "-c",
        _WATCH,
        "sh",
        PID,
        START,
        str(seconds),
        _open_folder(ctx),
        program,
        str(PATIENCE),
        str(LATE),
        str(LARGEST_CAPTURE),
        str(MOST_BYTES),
        _GUARD,
        _READ,
        str(MOST_STACKS),
        str(MOST_FRAMES),
        sink=sink,
    )
    said = output.stderr.decode("utf-8", "replace")
    word = re.search(r"^drillbook: (\w+)$", said, re.MULTILINE)
    if word or not output.ok:
        why = word[1] if word else "ended" if output.exit == ANOTHER else ""
        raise _refused(ctx, process, program, why, said.partition("drillbook: ")[0].strip())
    return sink.getvalue().decode("utf-8", "replace")


def _refused(ctx: Context, process: Found, program: str, word: str, said: str) -> CouldNotVerify | StepFailed:
    name, pid = ctx.host.name, process.pid
    if word == "ended":
        return StepFailed(
            f"{name}: process {pid} exited while memray traced it",
            findings=[
                finding(
                    "step-failed", title=f"process {pid} exited", wanted="a process that keeps running", measured="ended"
                )
            ],
        )
    why = _WHY.get(word) or _said(said)
    said = printable(" ".join(said.split()), limit=300)
    message = why.said.replace("{program}", program).replace("{pid}", str(pid)).replace("{said}", said)
    return CouldNotVerify(f"{name}: {message}", hint=why.hint.replace("{pid}", str(pid)))


def _said(said: str) -> _Why:
    """Return an explanation of memray's error message ``said``, with a hint."""
    if "No module named" in said or "open the memray shared library" in said:
        return _Why("memray is not installed in the environment of process {pid}", _OWN)
    if "running Python" in said:
        return _Why(
            "process {pid} is not a Python process", "select the process of the interpreter itself, by `pid_file` or `port`"
        )
    if "in remote process" in said:
        return _Why("memray cannot work in process {pid}: {said}", "check the file permissions of the process's user")
    if re.search(r"permission|different user", said, re.IGNORECASE):
        return _Why(
            "process {pid} may not be traced", f"{_ROOT}; `sysctl kernel.yama.ptrace_scope` shows who may trace processes"
        )
    return _Why("memray could not trace process {pid}: {said}", "try `memray attach --verbose` on the host")
