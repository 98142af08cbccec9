"""Runs a profiler on the host of a process, as the right user, for a limited time, and with limited output.

The profiler's errors are translated into readable messages.
"""

from __future__ import annotations

import re

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import printable
from drillbook.systems.linux.process_lookup import Found
from drillbook.systems.linux.process_selection import ANOTHER, PID, START

MOST_BYTES = 16 << 20
"""Limit of a profiler's output in bytes."""

# BYTES PROGRAM ARGV...: run the program with a pipe as output; py-spy opens /dev/stdout by name, which fails for a socket.
_PIPED = """
most=$1; shift
command -v -- "$1" >/dev/null || exit 127
{ "$@"; echo "status $?" >&2; } | head -c "$most"
"""


def spy(ctx: Context, process: Found, program: str, *argv: str) -> str:
    """Run py-spy on ``process``, and return the output. The word PID in ``argv`` stands for the pid of the process.

    Raises CouldNotVerify when py-spy is missing or lacks rights, or when the process is not Python.
    """
    sink = Answer(f"{ctx.host.name}: the output of {program}", MOST_BYTES)
    output = process.run(ctx, "sh", "-c", _PIPED, "sh", str(MOST_BYTES), program, *argv, sink=sink)
    said = output.stderr.decode("utf-8", "replace")
    if output.exit == 127 or "status 127" in said:
        raise CouldNotVerify(
            f"{ctx.host.name}: {program} is not installed",
            hint="install py-spy on the host (`pip install py-spy`), or set `program` to its path",
        )
    if output.exit == ANOTHER:
        raise CouldNotVerify(f"{ctx.host.name}: the process {process.pid} exited before {program} could read it")
    if "status 0" not in said:
        raise _refused(ctx, program, said)
    return sink.getvalue().decode("utf-8", "replace")


def _refused(ctx: Context, program: str, said: str) -> CouldNotVerify:
    if re.search(r"permission denied|operation not permitted", said, re.IGNORECASE):
        return CouldNotVerify(
            f"{ctx.host.name}: {program} may not trace the process",
            hint="allow ptrace and run as the user of the process, or run as root: `manager: {sudo: true}` for the host",
        )
    if "python version" in said.lower() or "python process" in said.lower():
        return CouldNotVerify(
            f"{ctx.host.name}: {program} found no Python interpreter in the process",
            hint="select the process of the interpreter itself, by `pid_file` or `port`",
        )
    why = printable(said.partition("Stack backtrace")[0].strip(), limit=300)
    return CouldNotVerify(f"{ctx.host.name}: {program} could not read the stacks of the process: {why}")


# PID START COUNT REST: print COUNT times the uptime and the resident set in KiB, with REST seconds in between.
_RSS = """
pid=$1 wanted=$2 count=$3 rest=$4
while test "$count" -gt 0; do
  seen "$pid" && test "$start" = "$wanted" || exit 3
  read -r up idle < /proc/uptime
  awk -v up="$up" '/^VmRSS:/ { print up, $2; found = 1 } END { exit !found }' "/proc/$pid/status" || exit 4
  count=$((count - 1))
  test "$count" -eq 0 || sleep "$rest" 2>/dev/null || sleep 1
done
"""


def resident(ctx: Context, process: Found, seen: str, count: int, rest: float) -> list[tuple[float, int]]:
    """Return ``count`` readings. Each reading has the host's uptime in seconds, and the resident memory of the process in
    bytes.

    ``rest``: seconds between two readings. ``seen``: shell function that recognises a process. Raises CouldNotVerify when the
    process exits before the last reading.
    """
    output = process.run(ctx, "sh", "-c", seen + _RSS, "sh", PID, START, str(count), f"{rest:.3f}")
    if output.exit == ANOTHER:
        raise CouldNotVerify(
            f"{ctx.host.name}: the process {process.pid} exited while its memory was measured",
            hint="read its log for the reason; the kernel kills a process when memory runs out",
        )
    if not output.ok:
        raise CouldNotVerify(
            f"{ctx.host.name}: the memory of process {process.pid} cannot be read: "
            f"{printable(output.stderr, limit=200).strip()}"
        )
    rows = (line.split() for line in output.text.splitlines())
    return [(float(at), int(size) * 1024) for at, size in rows]
