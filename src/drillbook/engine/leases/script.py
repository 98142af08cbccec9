"""Shell scripts of locks and leases, and functions that run these scripts on a host."""

from __future__ import annotations

import functools
import shlex
import urllib.parse
from importlib.resources import files
from typing import NoReturn

from drillbook.engine.leases import backends
from drillbook.errors import CommandFailed, CouldNotVerify, NotReady
from drillbook.sdk.host import Deadline, Host, Output, Target, excerpt, printable
from drillbook.sdk.shell_functions import Functions
from drillbook.sdk.target_folders import refuse, root_of, shell

MISSING, LATE = 90, 93
"""Exit statuses of the scripts: 90 when a tool is missing, 93 after a timeout. ``target_folders`` defines further exit
statuses.
"""

OFTEN = frozenset({"beat_all", "lease_ready", "lease_arm", "lease_disarm", "lease_end", "lock_release"})
"""Shell functions that a run with many faults calls often. To save time, they can be called in a shell that stays open on
the host.
"""

SHARED = "/var/tmp"
"""Default of the inventory's key `scratch`, the folder for temporary files on a host.

The system may remove old files from it, and another user may then create files of the same names.
"""
NO_STATE = "set `state` of the host in the inventory to a folder that this user may write to"
NO_BOOT = (
    "give this user a crontab (with cron running), or enable lingering for this user; or set `lease: {boot: none}` "
    "of the host in the inventory, and accept that after a reboot of the host a fault stays until `invoke drill.recover`"
)


@functools.cache
def source(name: str) -> str:
    """Content of a shell file of this package, without comments."""
    lines = files("drillbook.engine.leases").joinpath(name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#")) + "\n"


@functools.cache
def _of_files(*names: str) -> Functions:
    return Functions(shell() + backends.words() + "".join(source(name) for name in names) + '"$@"\n')


def program_of(function: str) -> Functions:
    """Return a shell program that calls ``function`` with the program's arguments.

    It contains only the shell files that it needs.
    """
    both = function in ("beat_all", "lock_list")
    locks, leases = ("lock.sh",), ("lease.sh", *backends.FILES)
    if both:
        return _of_files("shared_functions.sh", *locks, *leases)
    return _of_files("shared_functions.sh", *(locks if function.startswith("lock_") else leases))


def state_of(host: Host | Target) -> str:
    """Return the folder for the leases on ``host``.

    The result is empty when the script on the target chooses the folder. Its choice depends on the user.
    """
    target = host if isinstance(host, Target) else host.target
    if target.state:
        return target.state.rstrip("/")
    return "" if target.scratch.rstrip("/") == SHARED else root_of(target)


def lease_folders(target: Target, run_id: str) -> list[str]:
    """Return the possible folders of a run's lease on ``target``, quoted for the shell.

    Folders that older versions of Drillbook used are included.
    """
    state, run = state_of(target), shlex.quote(run_id)
    places = [shlex.quote(state)] if state else ["/var/lib/drillbook", "~/.local/state/drillbook"]
    return list(dict.fromkeys(f"{place}/leases/{run}" for place in (*places, shlex.quote(root_of(target)))))


def folder_name(name: str) -> str:
    """Encode ``name`` as a file name. Different names get different file names. Raises ValueError when ``name`` is empty."""
    quoted = urllib.parse.quote(name, safe="")
    if not quoted:
        raise ValueError("the name of a lock must not be empty")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def plain_name(name: str) -> str:
    """Decode a file name made by ``folder_name``."""
    return urllib.parse.unquote(name)


def one_line(text: str) -> str:
    """Return ``text`` as one printable line."""
    return printable(text.replace("\n", " ").replace("\t", " "), limit=500)


def unreadable(host: Host, what: str, said: str) -> CouldNotVerify:
    """Make the error for an answer that cannot be parsed. ``what`` is the word ``lock`` or ``lease``."""
    told = one_line(excerpt(said, limit=200)) or "nothing"
    return CouldNotVerify(
        f"{host.name}: the host's answer about its {what} cannot be parsed: {told}",
        hint="log in to the host and check if its shell prints additional output when it runs a command",
    )


def run_id_of(text: str) -> str:
    """Return ``text`` if it is a valid run id. Raises ValueError when it is not."""
    if not text or text.startswith((".", "-")) or any(c.isspace() or c == "/" or not c.isprintable() for c in text):
        raise ValueError(f"{text!r} is not the id of a run")
    return text


def call(host: Host, function: str, *words: str, deadline: Deadline) -> Output:
    """Run the shell function ``function`` on ``host``, with the arguments ``words``.

    Raises NotReady when the host cannot keep locks and leases, CommandFailed when the command failed, and the errors of
    ``Host.run``.
    """
    name = words[0] if function == "leased" else function
    program = program_of(function) if name in OFTEN else str(program_of(function))
    output = host.run(("sh", "-c", program, "drillbook", function, *words), deadline=deadline)
    if not output.ok:
        _refused(host, name, output)
    return output


def _refused(host: Host, function: str, output: Output) -> NoReturn:
    """Raise the error that matches the exit status of a script."""
    said = printable(output.stderr).strip().removeprefix("drillbook: ") or f"status {output.exit}"
    if output.exit == MISSING:
        raise NotReady(
            f"{host.name}: {said}",
            hint=NO_STATE
            if "no lease" in said
            else NO_BOOT
            if "at boot" in said
            else ("install the missing tool, or change `lease` of the host in the inventory"),
        )
    refuse(host, output)
    raise CommandFailed(
        f"{host.name}: {function.replace('_', ' ')}: {said}",
        host=host.name,
        argv=("sh", function),
        exit_status=output.exit,
        tail=said,
    )
