"""Needs of actions on the hosts where they run: commands, rights and ports. An action declares them, or its system does.

Besides these, every action needs a POSIX shell and the usual small programs (``BASE``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from fnmatch import fnmatchcase

from drillbook.errors import UnknownName
from drillbook.sdk import discovery, plugin_loading
from drillbook.sdk.action import Action

_BASE = """
awk cat chmod chown cmp cp cut date dd df dirname du echo env expr false find grep head id kill ln ls mkdir mkfifo mktemp mv nohup
od printf ps pwd readlink realpath rm rmdir sed setsid sh sha1sum sha256sum sleep sort stat sync tail tee test touch tr true uname
uniq wc
"""
BASE = tuple(_BASE.split())
"""Programs that every host needs: a POSIX shell, and programs of POSIX and of GNU coreutils."""
_BARE = "awk cat date df du env head id mkdir realpath rm sed sha256sum stat tail test"
BARE = tuple(_BARE.split())
"""Programs in ``BASE`` that actions start not only from shell scripts, but also directly."""
MANAGERS = frozenset({"systemctl", "supervisorctl", "docker"})
"""Programs of service managers. An action that starts or stops a unit needs the program of the host's service manager.

The exact commands with this program are known before the drill begins.
"""


class BySudo(Flag):
    """Commands that an action itself starts by `sudo`. The host needs rules of sudo for these commands."""

    UNIT = auto()
    """Commands that start and stop the unit of the service, if the service manager of the host has `sudo: true`."""
    ROOT = auto()
    """Other commands that run as root, if the service manager of the host has `sudo: true`."""
    RUN_AS = auto()
    """Programs that run as the user `run_as` of the service."""


NOTHING = BySudo(0)
"""Value for an action that itself starts no command by `sudo`."""


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """Needs of an action on a host. All fields are empty for an action without needs.

    ``commands``: required programs that are not in ``BASE``. ``either``: groups of programs. Of each group, one program is
    required. ``ports``: text about the required ports. ``by_sudo``: the kinds of commands that the action starts by `sudo`.
    ``rights``: text about these commands. ``scripted``: True when only scripts of `sh -c` start the ``commands``. Then sudo
    must allow the shell, and not the programs.
    """

    commands: tuple[str, ...] = ()
    rights: str = ""
    ports: str = ""
    either: tuple[tuple[str, ...], ...] = ()
    by_sudo: BySudo = NOTHING
    scripted: bool = False

    @property
    def programs(self) -> set[str]:
        """Names of all programs that the action may run, except those in ``BASE``."""
        return {*self.commands, *(name for group in self.either for name in group)}


def of(action: str) -> HostNeeds | None:
    """Return the needs that the class of ``action`` declares. If it declares none, return the needs that ``HOST_NEEDS`` of
    its system declares for it. Return None when neither of them declares any.

    A key of ``HOST_NEEDS`` is the name of an action, or a pattern for names. An exact name takes precedence over a pattern.
    """
    if own := _own(action):
        return own
    for system in discovery.systems():
        if action.partition(".")[0] not in system.actions or not system.host_needs:
            continue
        declared: Mapping[str, HostNeeds] = plugin_loading.table(system, "host_needs", "HOST_NEEDS", HostNeeds)
        names = [action] if action in declared else [name for name in declared if fnmatchcase(action, name)]
        if names:
            return declared[names[0]]
    return None


def _own(action: str) -> HostNeeds | None:
    """Return the needs that the class of ``action`` declares. None for a probe, and for an action without declared needs."""
    try:
        needs: HostNeeds | None = discovery.find(action, Action).NEEDS
    except UnknownName:
        return None
    return needs
