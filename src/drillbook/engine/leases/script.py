"""The shell that locks and leases are made of, and the one way to run it on a host."""

from __future__ import annotations

import functools
import shlex
import urllib.parse
from importlib.resources import files
from typing import NoReturn

from drillbook.errors import CommandFailed, CouldNotVerify, NotReady
from drillbook.sdk.host import Deadline, Host, Output, Target, excerpt, printable
from drillbook.sdk.target_folders import refuse, root_of, shell

MISSING, LATE = 90, 93
"""What the scripts end with, beside a message and what ``scratch`` knows: a tool is missing, not in time."""

SHARED = "/var/tmp"
"""The default `scratch`: what lies there for long is removed, and then anybody may make it."""
NO_STATE = "name a folder that this user may write as `state` of the host in the inventory"
NO_BOOT = (
    "let this user have a crontab (with cron running) or lingering, or write `lease: {boot: none}` at the host in "
    "the inventory to accept that a reboot of it leaves a fault there until `invoke drill.recover`"
)


@functools.cache
def source(name: str) -> str:
    """The text of one of the package's shell files, without its comments, which no target needs."""
    lines = files("drillbook.engine.leases").joinpath(name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#")) + "\n"


@functools.cache
def _program(*names: str) -> str:
    return shell() + "".join(source(name) for name in names) + '"$@"\n'


def state_of(host: Host | Target) -> str:
    """The folder on ``host`` that leases lie in; empty: the target knows, by its user."""
    target = host if isinstance(host, Target) else host.target
    if target.state:
        return target.state.rstrip("/")
    return "" if target.scratch.rstrip("/") == SHARED else root_of(target)


def lease_folders(target: Target, run_id: str) -> list[str]:
    """Where the lease of a run lies, as words of a shell: also where versions before this one had it."""
    state, run = state_of(target), shlex.quote(run_id)
    places = [shlex.quote(state)] if state else ["/var/lib/drillbook", "~/.local/state/drillbook"]
    return list(dict.fromkeys(f"{place}/leases/{run}" for place in (*places, shlex.quote(root_of(target)))))


def folder_name(name: str) -> str:
    """``name`` as the name of a file: any name is possible, two names never give the same."""
    quoted = urllib.parse.quote(name, safe="")
    if not quoted:
        raise ValueError("a lock needs a name")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def plain_name(name: str) -> str:
    """The opposite of ``folder_name``."""
    return urllib.parse.unquote(name)


def one_line(text: str) -> str:
    """``text`` as one printable line."""
    return printable(text.replace("\n", " ").replace("\t", " "), limit=500)


def unreadable(host: Host, what: str, said: str) -> CouldNotVerify:
    """The error for an answer about a lock or a lease that no script gives."""
    told = one_line(excerpt(said, limit=200)) or "nothing"
    return CouldNotVerify(
        f"{host.name}: the answer about its {what} is unreadable: {told}",
        hint="log in there and look what its shell prints to a command",
    )


def run_id_of(text: str) -> str:
    """``text`` when it can be a run's id; raises ValueError otherwise."""
    if not text or text.startswith((".", "-")) or any(c.isspace() or c == "/" or not c.isprintable() for c in text):
        raise ValueError(f"{text!r} is no run's id")
    return text


def call(host: Host, function: str, *words: str, deadline: Deadline) -> Output:
    """Run one function of the scripts on ``host``.

    Raises NotReady when the host cannot hold locks and leases, CommandFailed when it could not this time, and what
    ``Host.run`` raises.
    """
    parts = (
        ("ground.sh", "lock.sh", "lease.sh")
        if function in ("beat_all", "lock_list")
        else ("ground.sh", "lock.sh" if function.startswith("lock_") else "lease.sh")
    )
    output = host.run(("sh", "-c", _program(*parts), "drillbook", function, *words), deadline=deadline)
    if not output.ok:
        _refused(host, words[0] if function == "leased" else function, output)
    return output


def _refused(host: Host, function: str, output: Output) -> NoReturn:
    """Raise what the exit status of a script means."""
    said = printable(output.stderr).strip().removeprefix("drillbook: ") or f"status {output.exit}"
    if output.exit == MISSING:
        raise NotReady(
            f"{host.name}: {said}",
            hint=NO_STATE
            if "no lease" in said
            else NO_BOOT
            if "at boot" in said
            else ("install what is missing, or change `lease` in the inventory"),
        )
    refuse(host, output)
    raise CommandFailed(
        f"{host.name}: {function.replace('_', ' ')}: {said}",
        host=host.name,
        argv=("sh", function),
        exit_status=output.exit,
        tail=said,
    )
