"""The folders of Drillbook on a target: where they lie, and the shell that makes them so that nobody else can reach in.

All lies below one folder `drillbook` in the host's `scratch`, made by exclusive creation, mode 0700. Locks are in it, and
the temporary files of each run in `runs`.
"""

from __future__ import annotations

import functools
from importlib.resources import files

from drillbook.errors import NotReady
from drillbook.sdk.host import Deadline, Host, Output, Target, printable

FOREIGN = 91
"""Exit status of the scripts, beside a message: the folder is not ours alone."""
RUNS = "runs"
NAME_ANOTHER = (
    "somebody else may be drilling there: ask them; drills that share services share one user there, and one "
    "`scratch` folder in the inventory. If nobody knows it, remove it as root, or name another place as "
    "`scratch` of the host: in folders where nobody else may write, or that are sticky as /var/tmp is"
)
_MAKE = 'own "$1" "$2" && { test -z "$3" || { umask 077; rm -rf -- "$2/$3" && mkdir -- "$2/$3"; }; }\n'
# ROOT RUN FORMER: the temporary files of a run, also where a version before this one had them.
REMOVE = """
if test -O "$1" && ! test -h "$1"; then rm -rf -- "$1/runs/$2" || exit 1; fi
(cd -- "$1" && test -O . && rmdir runs; cd / && rmdir -- "$1") 2>/dev/null
if test -O "$3" && ! test -h "$3"; then rm -rf -- "$3" || exit 1; fi
"""
# FORMER: do the temporary files of a run lie where a version before this one had them? Root's are ours too, by sudo.
_FORMER = """
for path in "$1" "$1".*; do
  test -d "$path" && ! test -h "$path" || continue
  case $(LC_ALL=C ls -ldn "$path") in "drwx------"[!+]*) ;; *) continue;; esac
  test "$(stat -c %u "$path")" = 0 || test -O "$path" && exit 0
done
exit 1
"""


@functools.cache
def shell() -> str:
    """The functions of ``scratch.sh``, without its comments, which no target needs."""
    lines = files("drillbook.sdk").joinpath("target_folders.sh").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#")) + "\n"


def root_of(host: Host | Target) -> str:
    """The one folder of Drillbook in the host's ``scratch``."""
    target = host if isinstance(host, Target) else host.target
    return f"{target.scratch.rstrip('/')}/drillbook"


def scratch_of(host: Host | Target, run_id: str, *, former: bool = False) -> str:
    """The folder of a run's temporary files on ``host``; with ``former`` where versions before this one had it."""
    root = root_of(host)
    return f"{root}-{run_id}" if former else f"{root}/{RUNS}/{run_id}"


def parts(path: str) -> tuple[str, str]:
    """The folder that has to be ours alone, and what lies in it, of a run's folder."""
    root, found, run = path.rpartition(f"/{RUNS}/")
    return (root, f"{RUNS}/{run}") if found and root.endswith("/drillbook") else (path, ".")


def make(host: Host, path: str, name: str = "", *, deadline: Deadline) -> str:
    """Make the run's folder ``path``, and an empty one ``name`` in it; returns the inner one.

    Raises NotReady when somebody else could reach into it, HostError.
    """
    output = host.run(("sh", "-c", shell() + _MAKE, "sh", *parts(path), name), deadline=deadline)
    refuse(host, output)
    output.check()
    return f"{path}/{name}" if name else path


def refuse(host: Host, output: Output) -> None:
    """Raise NotReady when a script ended because a folder is not ours alone."""
    if output.exit == FOREIGN:
        said = printable(output.stderr).strip().rpartition("drillbook: ")[2]
        raise NotReady(f"{host.name}: {said}", hint=NAME_ANOTHER)


def is_former(host: Host, run_id: str, *, deadline: Deadline) -> bool:
    """Do temporary files of the run lie where versions before this one had them? Raises HostError."""
    return host.run(("sh", "-c", _FORMER, "sh", scratch_of(host, run_id, former=True)), deadline=deadline).ok
