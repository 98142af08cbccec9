"""Folders of Drillbook on a target: their paths, and the shell functions that create them as private folders.

All of them are inside the folder `drillbook` in the host's folder `scratch`. The folder `drillbook` is created with the mode
0700. If it exists already, it must be private. It contains the locks, and the temporary files of runs in its subfolder `runs`.
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files

from drillbook.errors import NotReady
from drillbook.sdk.host import Deadline, Host, Output, Target, printable
from drillbook.sdk.shell_functions import Functions

FOREIGN = 91
"""Exit status of the scripts when a folder is not private. The scripts also print a message."""
RUNS = "runs"
NAME_ANOTHER = (
    "another user may be running a drill on this host, so ask this user first. Drills that share services "
    "must use the same SSH user and the same `scratch` folder on a host. If nobody uses the folder, "
    "remove it as root, or set `scratch` (or `state`, for a folder of leases) of the host in the inventory to another "
    "folder. Other users must not be able to write to the parents of that folder; only a parent with the sticky bit, such as "
    "/var/tmp, may be writable for them"
)
CLOSE = (
    "if the folder is yours, do not remove it, because it may contain anchors of reports: find out who could write to it, "
    "and then run `chmod go-rwx` on it. Otherwise "
)
NAME_INNER = (
    "set `state` of the host in the inventory (or `scratch`, for other folders) to a folder that only Drillbook uses, such as "
    "a folder `drillbook` in this one; Drillbook creates it with the mode 0700"
)
_MAKE = 'own "$1" "$2" && { test -z "$3" || { umask 077; rm -rf -- "$2/$3" && mkdir -- "$2/$3"; }; }\n'
# ROOT RUN FORMER: remove the temporary files of a run, also from FORMER, the folder that older versions used.
REMOVE = Functions(
    """
if test -O "$1" && ! test -h "$1"; then rm -rf -- "$1/runs/$2" || exit 1; fi
if test -d "$1"; then (cd -- "$1" && test -O . && rmdir runs; cd / && rmdir -- "$1") 2>/dev/null; fi
if test -O "$3" && ! test -h "$3"; then rm -rf -- "$3" || exit 1; fi
"""
)
# FORMER: test if FORMER, the folder of older versions, exists and belongs to this user (or to root, if sudo created it).
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
    """Return the shell functions in ``target_folders.sh`` without comments."""
    lines = files("drillbook.sdk").joinpath("target_folders.sh").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#")) + "\n"


def root_of(host: Host | Target) -> str:
    """Return the path of Drillbook's folder in the host's ``scratch``. Each account has its own folder."""
    target = host if isinstance(host, Target) else host.target
    return f"{target.scratch.rstrip('/')}/drillbook{target.account and f'-as-{target.account}'}"


def scratch_of(host: Host | Target, run_id: str, *, former: bool = False) -> str:
    """Return the folder of a run's temporary files on ``host``.

    When ``former`` is true, return the folder that older versions used.
    """
    root = root_of(host)
    return f"{root}-{run_id}" if former else f"{root}/{RUNS}/{run_id}"


def parts(path: str) -> tuple[str, str]:
    """Split the path of a run's folder in two: Drillbook's folder, and the rest. Drillbook's folder must be private."""
    root, separator, run = path.rpartition(f"/{RUNS}/")
    ours = separator and re.search(r"/drillbook(-as-[^/]+)?$", root)
    return (root, f"{RUNS}/{run}") if ours else (path, ".")


def make(host: Host, path: str, name: str = "", *, deadline: Deadline) -> str:
    """Create the run's folder ``path``, and in it the empty folder ``name``. Returns the path of ``name``.

    Raises NotReady when other users could write there, and HostError when the host fails.
    """
    output = host.run(("sh", "-c", shell() + _MAKE, "sh", *parts(path), name), deadline=deadline)
    refuse(host, output)
    output.check()
    return f"{path}/{name}" if name else path


def refuse(host: Host, output: Output) -> None:
    """Raise NotReady when a script found a folder that is not private. Such a script exits with the status ``FOREIGN``."""
    if output.exit == FOREIGN:
        said = printable(output.stderr).strip().rpartition("drillbook: ")[2]
        shared = said.endswith("not a folder of Drillbook alone")
        hint = NAME_INNER if shared else CLOSE * said.endswith("is open to others") + NAME_ANOTHER
        raise NotReady(f"{host.name}: {said}", hint=hint)


def is_former(host: Host, run_id: str, *, deadline: Deadline) -> bool:
    """Return True when the run has temporary files in the folder that older versions used.

    Raises HostError when the host cannot be used.
    """
    return host.run(("sh", "-c", _FORMER, "sh", scratch_of(host, run_id, former=True)), deadline=deadline).ok
