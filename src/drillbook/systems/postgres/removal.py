"""Kills a server and removes its cluster, or checks that a cluster is complete."""

from __future__ import annotations

import re
from dataclasses import dataclass

from drillbook.errors import StepFailed
from drillbook.sdk.host import once_more
from drillbook.sdk.random_names import fresh
from drillbook.systems.postgres.programs import Tools

# The process in postmaster.pid is the postmaster only if its working directory is this folder. It is killed first: if its
# children died first, it would start them again.
_KILL = """
cd -- "$1" || exit 3
test -f PG_VERSION || exit 3
pid=$(head -n 1 postmaster.pid 2>/dev/null)
case $pid in ''|*[!0-9]*) exit 0;; esac
test "$(readlink "/proc/$pid/cwd")" = "$(pwd -P)" || exit 0
children=$(grep -ls "^PPid:[[:space:]]*$pid\\$" /proc/[0-9]*/status | cut -d/ -f3)
kill -KILL "$pid" || exit 4
for child in $children; do kill -KILL "$child" 2>/dev/null; done
tries=0
for one in $pid $children; do
  while grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$one/status" && test $tries -lt 500; do
    tries=$((tries + 1)); sleep 0.01
  done
done
echo "$pid"
"""

# DATA: check that DATA is a cluster that may be removed. Exit with 3 if it is no cluster, and with 5 for `/` or the home folder.
_REMOVABLE = """
real=$(cd -- "$1" && pwd -P) || exit 3
case $real in /*/?*) ;; *) exit 5;; esac
test "$real" != "$(cd -- "${HOME:-/nonexistent}" 2>/dev/null && pwd -P)" || exit 5
test -f "$real/PG_VERSION" || exit 3
test -f "$real/global/pg_control" || test -f "$real/global/pg_control.lost" || exit 3
"""
# If the folder cannot be moved, first remove the file without which no server starts on the remaining files.
_REMOVE = (
    _REMOVABLE
    + """
cd /
files=$(find "$real" -type f | wc -l)
blocks=$(du -sk -- "$real" | cut -f1)
if test ! -L "$1" && mv -- "$real" "$real.drillbook-$2" 2>/dev/null; then rm -rf -- "$real.drillbook-$2" || exit 6
else
  test ! -f "$real/global/pg_control" || mv -f -- "$real/global/pg_control" "$real/global/pg_control.lost" || exit 6
  find "$real" -mindepth 1 -delete || exit 6
fi
echo $pid $files $blocks
"""
)
# A killed server leaves its socket, and a lock file that names its process and folder. Normally the next server in this
# folder takes over the socket; but after the cluster was removed, there is no next server.
_CLEAR = (
    _REMOVABLE
    + """
socket=$(sed -n 5p "$real/postmaster.pid" 2>/dev/null)/.s.PGSQL.$(sed -n 4p "$real/postmaster.pid" 2>/dev/null)
server=$(sed -n 1p "$real/postmaster.pid" 2>/dev/null)
"""
    + _REMOVE
    + """
case $(sed -n 2p "$socket.lock" 2>/dev/null) in "${1%/}"|"$real") ;; *) exit 0;; esac
test "$(sed -n 1p "$socket.lock")" = "$server" && test ! -e "/proc/$server" && rm -f -- "$socket" "$socket.lock"
exit 0
"""
)
# One command, which prints nothing before its end and does not stop when its channel closes. So if the controller dies
# meanwhile, the target never has a dead server with a remaining cluster.
_LOSE = "trap '' HUP PIPE\n" + _REMOVABLE + "pid=$(\n" + _KILL + ") || exit\npid=${pid:-none}\n" + _REMOVE
# FOLDER: succeed when it contains a complete cluster and no removal is running; a removal is a process with an argument
# `gone-~HEX`.
_WHOLE = """
tries=0
while test -f "$1/PG_VERSION" && test -f "$1/global/pg_control"; do
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -qx 'gone-~[0-9a-f]*' || exit 0
  tries=$((tries + 1))
  test $tries -lt 100 || exit 1
  sleep 0.1
done
exit 1
"""


@dataclass(frozen=True, slots=True)
class Removed:
    """Size of a removed data directory: its number of files, and its number of bytes."""

    files: int
    bytes: int


def kill(tools: Tools) -> int | None:
    """Kill the server with SIGKILL, and return the process ID of its main process, or None when no server ran.

    Raises StepFailed when the data directory contains no cluster, and HostError when the host cannot be used.
    """
    output = tools.owned(("sh", "-c", _KILL, "sh", tools.service.data_directory))
    if output.exit == 3:
        raise StepFailed(f"{tools.host.name}: {tools.service.data_directory} is not the data directory of a cluster")
    text = output.check().text.strip()
    return int(text) if text else None


def remove(tools: Tools) -> Removed:
    """Remove the data directory, and the socket of the server that has used this directory.

    If the directory is a mount point or a link, only its content is removed. The directory is moved away in one step, so
    that it is complete or absent even if the controller dies. Raises StepFailed when the directory must not be removed, and
    HostError when the host cannot be used.
    """
    return _removed(_take_away(tools, _CLEAR))


def lose(tools: Tools) -> tuple[int | None, Removed]:
    """Kill the server and remove its cluster in one command. Return the results of ``kill`` and of ``remove``.

    Raises StepFailed when the directory must not be removed, and HostError when the host cannot be used.
    """
    pid, *removed = _take_away(tools, _LOSE)
    return None if pid == "none" else int(pid), _removed(removed)


def _take_away(tools: Tools, script: str) -> list[str]:
    data = tools.service.data_directory
    if not re.fullmatch(r"/[^/]+(/[^/]+)+/?", data) or ".." in data.split("/"):
        raise StepFailed(
            f"{data} was not removed: a drill does not remove top-level directories of a file system, or paths with `..`"
        )
    output = tools.owned(("sh", "-c", script, "sh", data, f"gone-{fresh(4)}"))
    if output.exit in (3, 5):
        present = (
            "not the data directory of a cluster" if output.exit == 3 else "the root of a file system or a home directory"
        )
        raise StepFailed(f"{tools.host.name}: {data} was not removed, because it is {present}")
    return output.check().text.split()


def _removed(words: list[str]) -> Removed:
    files, blocks = words
    return Removed(int(files), int(blocks) * 1024)


def whole(tools: Tools) -> bool:
    """Return True when the data directory contains a complete cluster that is not being removed. Raises HostError when the
    host cannot be used.

    A removal moves the whole directory away, or, if this is impossible, first renames `global/pg_control`. This function waits
    up to 10 s for a running removal to end.
    """
    return once_more(lambda: tools.owned(("sh", "-c", _WHOLE, "sh", tools.service.data_directory))).ok
