"""Runs commands on a selected process. The command line contains the selection, such as the unit or the port of the
process, but not its pid.

The pid differs from run to run, but the selection does not. So one rule of sudo matches this command line in every run, and
permits the command for no other process. The pid and the start time of the process are sent through standard input. The
command is started only if the selection still finds the process with this pid and start time.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from drillbook.sdk.action import Context
from drillbook.sdk.host import Host, Output
from drillbook.sdk.manager import Argv, manager_of
from drillbook.systems.linux.faultstate import SEEN

PID, START = "@pid", "@start"
"""Placeholders that a command may contain. The pid and the start time of the selected process are put in place of ``PID`` and
``START``.
"""
ANOTHER = 3
"""Exit status when the command was not started, because the process has exited, or because the selection now finds another
process.
"""

# PORT as `:%04X`: set the inodes of the sockets that listen on this port.
OF_PORT = """
inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
  awk -v port="$1" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }')
"""
# PATH: set the inodes of the Unix sockets that listen at this path; a server may have bound it by another name of its folder.
OF_PATH = """
inodes=$(awk -v name="/${1##*/}" '$4 == "00010000" && substr($8, length($8) - length(name) + 1) == name { print $7, $8 }' \\
  /proc/net/unix | while read -r inode path; do if test "$path" -ef "$1"; then echo "$inode"; fi; done)
"""
# Print the pids of processes that listen at the sockets with these inodes, without their children. Exit status 3: nobody
# listens; 6: the descriptors of the listener may not be read.
HOLDERS = (
    SEEN
    + """
test -n "$inodes" || exit 3
pids=$(ls -ln /proc/[0-9]*/fd 2>/dev/null | awk -v inodes="$inodes" '
  BEGIN { count = split(inodes, list); for (i = 1; i <= count; i++) wanted["socket:[" list[i] "]"] = 1 }
  /^\\/proc\\// { split($0, part, "/"); pid = part[3]; next }
  $NF in wanted && !(pid in told) { told[pid] = 1; print pid }')
test -n "$pids" || exit 6
for pid in $pids; do
  seen "$pid" || continue
  case " $(echo $pids) " in *" $parent "*) ;; *) echo "$pid" ;; esac
done
"""
)
# KIND NAME COMMAND...: read `PID START`, and run COMMAND with the words @pid and @start replaced, if this process is the selected
# one. START may be missing.
_AT = (
    SEEN
    + f"""
on_port() {{
{OF_PORT}{HOLDERS}
}}
kind=$1 name=$2; shift 2
read -r chosen since other || exit {ANOTHER}
case $kind in
  unit) all=$(sh -c "$name") ;;
  file) read -r all other < "$name" ;;
  port) all=$(on_port "$name") ;;
esac
case " $(echo $all) " in *" $chosen "*) ;; *) exit {ANOTHER} ;; esac
seen "$chosen" && test "$start" = "${{since:-$start}}" || exit {ANOTHER}
for word; do
  case $word in {PID}) word=$chosen ;; {START}) word=$start ;; esac
  shift
  set -- "$@" "$word"
done
exec "$@"
"""
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of a process: the main process of a unit (`unit`), the process of a pid file (`file`), or the listener of a
    TCP port (`port`).

    ``name`` depends on the kind. For a unit, it is the command line that prints the pid. For a pid file, it is the path of
    the file. For a port, it is the port number in the format `:%04X`.
    """

    kind: str
    name: str

    def run(self, ctx: Context, argv: Argv, pid: int, start: int | None = None, **options: Any) -> Output:
        """Run ``argv`` on the step's host. The command runs as root if the service manager uses `sudo`.

        In ``argv``, the word PID is replaced by the pid of the process, and START by its start time. If the process has
        exited, or if the selection now finds another process, the command is not started. The exit status is then ANOTHER.
        """
        line = f"{pid}\n" if start is None else f"{pid} {start}\n"
        words = ("sh", "-c", _AT, "sh", self.kind, self.name, *argv)
        output: Output = ctx.run(*as_root(ctx), *words, stdin=line.encode(), **options)
        return output


def as_root(ctx: Context) -> Argv:
    """Return the prefix of commands that need root: `sudo -n` if the inventory sets `sudo` for the service manager."""
    return ("sudo", "-n") if ctx.host.target.manager.sudo else ()


def by_unit(host: Host, unit: str) -> Selection:
    """Return the selection of the main process of ``unit``."""
    config = host.target.manager
    manager = type(manager_of(host))(config.model_copy(update={"sudo": False}))  # the command itself runs as root
    return Selection("unit", shlex.join(manager.main(unit)))


def by_pid_file(path: str) -> Selection:
    """Return the selection of the process whose pid is in the file ``path``."""
    return Selection("file", path)


def by_port(port: int) -> Selection:
    """Return the selection of the process that listens on TCP ``port``."""
    return Selection("port", f":{port:04X}")
