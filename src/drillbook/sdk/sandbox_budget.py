"""Memory and disk limits of a sandbox (its budget). A watcher on the host kills the processes when they exceed a limit.

The memory of all processes is added up by proportional set size, so that shared memory counts once. In a container, a
control group of the kernel enforces the memory limit, and the watcher enforces only the disk limit.
"""

from __future__ import annotations

import re

from drillbook.sdk.isolation import MARK, MARKED, Isolation

EXCEEDED = "drillbook.exceeded"
"""File in the sandbox's folder that reports an exceeded limit.

It contains the name of the limit, the measured size in KiB, and the limit in KiB.
"""
# FOLDER MEMORY DISK: both limits in KiB; a MEMORY of 0 is not checked. Memory is measured every 2 seconds, and twice a second
# while more than half of the limit is used. Disk usage is measured every 3 to 4 seconds. The list of processes contains the
# watcher and the shells that make the list; so the list is complete, and these shells have ended, before the first kill.
_WATCH = (
    """
folder=$1 memory=$2 disk=$3 since=6
cd /
inside() { """
    + MARKED
    + """; }
sizes=smaps_rollup
test -e "/proc/$$/$sizes" || sizes=status
exceeded() {
  echo "$1 $2 $3" > "$folder/drillbook.exceeded"
  for again in 1 2 3 4 5; do
    for pid in $(inside); do
      test "$pid" = $$ || kill -KILL "$pid" 2>/dev/null
    done
    sleep 0.1
  done
  exit
}
while test -e "$folder/drillbook.run"; do
  pause=2 units=4
  if test "$memory" -gt 0; then
    files=$(inside | sed "s|.*|/proc/&/$sizes|")
    # shellcheck disable=SC2086 # a list of files; a process that ended meanwhile has none
    used=$(cat /dev/null $files 2>/dev/null | awk '$1 == "Pss:" || $1 == "VmRSS:" { sum += $2 } END { print sum + 0 }')
    test "$used" -le "$memory" || exceeded memory "$used" "$memory"
    test "$used" -le $((memory / 2)) || pause=0.5 units=1
  fi
  if test "$since" -ge 6; then
    since=0
    used=$(du -sk -- "$folder" 2>/dev/null | sed 's/[^0-9].*//')
    test "${used:-0}" -le "$disk" || exceeded disk "$used" "$disk"
  fi
  since=$((since + units))
  sleep "$pause"
done
"""
)
_NO_MEMORY = re.compile(
    r"cannot allocate memory|out of memory|memory exhausted|memory allocation (failed|error)|memory usage "
    r"limit|bad_alloc|MemoryError",
    re.IGNORECASE,
)
"""Pattern for messages of programs that could not allocate memory, for example because of RLIMIT_DATA."""
_DETACH = 'setsid -f "$@" >/dev/null 2>&1 </dev/null'
# NAME: print what the engine and the kernel report about a container that ran out of memory.
_KILLED = "docker inspect --format '{{.State.OOMKilled}}' \"$1\""


def watching(isolation: Isolation, disk: int) -> tuple[str, ...]:
    """Return the command that starts the watcher of a sandbox. ``disk``: limit of the folder in bytes."""
    memory = 0 if isolation.kind == "container" else isolation.memory
    words = (
        "env",
        f"{MARK}={isolation.folder}",
        "sh",
        "-c",
        _WATCH,
        "sh",
        isolation.folder,
        str(memory >> 10),
        str(max(1, disk >> 10)),
    )
    return isolation.as_user(("sh", "-c", _DETACH, "sh", *words))


def looking(isolation: Isolation) -> tuple[tuple[str, ...], ...]:
    """Return the commands that print the limit that was exceeded. ``read`` parses their output."""
    file = isolation.as_user(("cat", "--", f"{isolation.folder}/{EXCEEDED}"))
    return (file, ("sh", "-c", _KILLED, "sh", isolation.container)) if isolation.kind == "container" else (file,)


def read(text: str, memory: int) -> tuple[str, str] | None:
    """Parse the output of a command from ``looking``.

    Returns the exceeded limit and the measured size. Returns None when no limit was exceeded.
    """
    if match := re.match(r"(memory|disk) (\d+) (\d+)$", text.strip()):
        return f"{match[1]}: {int(match[3]) << 10} bytes", f"{int(match[2]) << 10} bytes"
    if text.strip() == "true":
        return f"memory: {memory} bytes", "the kernel ended a process of the container because its memory limit was exceeded"
    return None


def enforced(isolation: Isolation) -> dict[str, str]:
    """Return facts that name the mechanisms which limit the memory and the disk space of a sandbox."""
    if isolation.kind == "container":
        return {"memory": "control group of the container", "disk": "watcher on the host"}
    return {"memory": "watcher on the host, and RLIMIT_DATA of each process", "disk": "watcher on the host"}


def lacks_memory(error: BaseException) -> str:
    """Return the first line of an error that reports a failed memory allocation. The result is empty when there is no such
    line.
    """
    said = [
        str(error),
        *(line for finding in getattr(error, "findings", ()) for line in (finding.measured, *finding.evidence)),
    ]
    lines = (line for text in said for line in str(text).splitlines())
    return next((line.strip()[:300] for line in lines if _NO_MEMORY.search(line)), "")


def mebibytes(size: int) -> str:
    """Format a number of bytes in MiB."""
    return f"{size / (1 << 20):.1f} MiB"
