"""Page ``needs.md``: commands, rights and ports that each action needs on a host. It is made from the systems' declarations."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.sdk import host_needs
from drillbook.sdk.action import Effect, Place, find, known_names

PAGE = """\
# Needs on a host

Every host needs an SSH server, a POSIX shell and the usual small programs: %s. A fault with a lease also needs systemd, or
`setsid` and, so that the undo also runs after a reboot, cron ([safety](safety.md)). Nothing is installed on a host; programs
that a drill sends are removed at the end of the run.

`invoke drill.check NAME` tells at once what is missing for a drill, as far as this can be seen without a change: hosts, accounts
of `become`, programs, paths, tables, rights and probes. It does not see the programs that a shell, a script or another
program starts, nor most of the rights that only a write needs. At a store, it tries the rights by requests that change no
object. If an earlier step of the drill may still create a missing thing, this thing is listed as `not verified`.
`become` and `run_as` change the account that needs the rights. Of commands joined by *or*, one is enough. Actions of plugins are
not listed. If a step uses a store, the controller also needs access to the store: the controller makes the signed URLs with
which hosts transfer files, and it reads and writes the manifests.

| action | effect | runs on | commands | rights | ports |
|---|---|---|---|---|---|
"""
PLACES = {Place.SERVICE: "the service's host", Place.HOSTS: "the hosts of the step", Place.CONTROLLER: "the controller"}


def page() -> str:
    """Return the page ``needs.md`` as Markdown."""
    return PAGE % ", ".join(f"`{name}`" for name in host_needs.BASE) + "".join(_rows())


def _rows() -> Iterator[str]:
    for name in known_names():
        kind, needs = find(name), host_needs.of(name) or host_needs.HostNeeds()
        commands = [f"`{command}`" for command in needs.commands]
        commands += [" or ".join(f"`{command}`" for command in group) for group in needs.either]
        effect = "declared" if "effect_" in kind.model_fields else Effect(kind.EFFECT).value
        cells = (f"`{name}`", effect, PLACES[kind.PLACE], ", ".join(commands), needs.rights, needs.ports)
        yield f"| {' | '.join(cells)} |\n"
