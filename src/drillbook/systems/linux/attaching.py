"""Letting memray (https://bloomberg.github.io/memray/attach.html) watch a running process on its host, bounded in time.

memray has a debugger load it into the process. The debugger sets breakpoints and waits for the next allocation: were it
killed meanwhile, they would stay, and the process would die of the first. So it runs apart from the step, is never killed,
and is asked to let go, by SIGTERM, when the process allocates nothing for too long. The watching is ended by a timer in the
process itself, also when nobody hears of it any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.answers import Answer
from drillbook.sdk.host import printable
from drillbook.sdk.target_folders import root_of
from drillbook.systems.linux.allocations import MOST_FRAMES, MOST_STACKS
from drillbook.systems.linux.faultstate import REST, SEEN
from drillbook.systems.linux.spying import MOST_BYTES
from drillbook.systems.linux.target import Found, as_root

PATIENCE = 60
"""Seconds within which the process must allocate something, so that the debugger can begin."""
LATE = 60
"""Seconds after its time within which the watching must have ended."""
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
# PID START PATIENCE FOLDER PROGRAM...: runs by itself, and leaves `said` and `done` in the folder. The debugger is asked to
# let go only while the process is not held by it (state t), so not in the middle of a call; after 30 s more in any case.
_GUARD = (
    _SHELL
    + """
pid=$1 wanted=$2 patience=$3 folder=$4; shift 4
"$@" >"$folder/said" 2>&1 </dev/null &
child=$!
now; end=$((now + patience))
while kill -0 "$child" 2>/dev/null; do
  now
  if test "$now" -ge "$end" && ours; then
    by=$(tracer)
    if test "$by" -gt 1 && { test "$state" != t || test "$now" -ge $((end + 30)); }; then
      echo idle >"$folder/idle"; kill -TERM "$by" 2>/dev/null; end=$((now + 5))
    fi
  fi
  rest
done
wait "$child"
echo "$?" >"$folder/status"; mv "$folder/status" "$folder/done"
"""
)
# What is in the way, as a word on standard error that WHY explains.
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


_ROOT = "run as its user with ptrace allowed, or as root: `manager: {sudo: true}` for the host"
_OWN = "install memray in the environment of the application itself, and name that one as `program`"
_WHY = {
    "program": _Why("there is no {program}", "install it (`pip install memray`), or name its path as `program`"),
    "debugger": _Why("there is neither gdb nor lldb, which memray needs", "install it on the host (package `gdb`)"),
    "traced": _Why("process {pid} is traced by another program already", "end the debugger or tracer, then try again"),
    "watched": _Why("memray watches process {pid} already", "wait until that ends, or end it with `memray detach {pid}`"),
    "rights": _Why("process {pid} may not be looked into", _ROOT),
    "apart": _Why(
        "process {pid} has files or a network of its own, as in a container or under PrivateTmp",
        "let the application watch itself: `path`",
    ),
    "folder": _Why("no folder for the capture can be made", "look at `scratch` of the host in the inventory"),
    "idle": _Why(
        f"process {{pid}} allocated nothing within {PATIENCE} s, so memray could not begin; it goes on as before",
        "ask something of it meanwhile, such as a request",
    ),
    "attached": _Why("memray still watches process {pid} after its time", "end it with `memray detach {pid}` on the host"),
    "large": _Why(f"the capture is larger than {LARGEST_CAPTURE} bytes", "watch for fewer `seconds`"),
    "unread": _Why("the capture cannot be read: {said}", _OWN),
}


def _open_folder(ctx: Context) -> str:
    """Beginning of the name of the folder that the process writes into, whose user may not enter the run's own.

    It is made by exclusive creation, in `scratch` itself.
    """
    return f"{root_of(ctx.host)}-{ctx.run_id}.{ctx.step}.allocations"


def watch(ctx: Context, found: Found, program: str, seconds: int) -> str:
    """What ``program`` saw in ``seconds``, as the JSON that ``allocations.of_memray`` reads.

    Raises CouldNotVerify with what stands in the way, StepFailed when the process ended meanwhile.
    """
    sink = Answer(f"{ctx.host.name}: what {program} says", MOST_BYTES)
    output = ctx.run(
        *as_root(ctx),
        "sh",
        "-c",
        _WATCH,
        "sh",
        str(found.pid),
        str(found.start),
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
        raise _refused(ctx, found, program, word[1] if word else "", said.partition("drillbook: ")[0].strip())
    return sink.getvalue().decode("utf-8", "replace")


def _refused(ctx: Context, found: Found, program: str, word: str, said: str) -> CouldNotVerify | StepFailed:
    name, pid = ctx.host.name, found.pid
    if word == "ended":
        return StepFailed(
            f"{name}: process {pid} ended while memray watched it",
            findings=[
                finding("step-failed", title=f"process {pid} ended", wanted="a process that goes on", measured="ended")
            ],
        )
    why = _WHY.get(word) or _said(said)
    said = printable(" ".join(said.split()), limit=300)
    message = why.said.replace("{program}", program).replace("{pid}", str(pid)).replace("{said}", said)
    return CouldNotVerify(f"{name}: {message}", hint=why.hint.replace("{pid}", str(pid)))


def _said(said: str) -> _Why:
    """What memray itself said, explained."""
    if "No module named" in said or "open the memray shared library" in said:
        return _Why("process {pid} finds no memray", _OWN)
    if "running Python" in said:
        return _Why("process {pid} is no Python", "name the process of the interpreter itself, by `pid_file` or `port`")
    if "in remote process" in said:
        return _Why("memray cannot work in process {pid}: {said}", "look at what its user may read and write")
    if re.search(r"permission|different user", said, re.IGNORECASE):
        return _Why("process {pid} may not be traced", f"{_ROOT}; `sysctl kernel.yama.ptrace_scope` tells who may")
    return _Why("memray could not watch process {pid}: {said}", "try `memray attach --verbose` on the host")
