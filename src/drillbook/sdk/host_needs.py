"""Needs of actions on the hosts where they run: commands, rights and ports. An action declares them, or its system does.

Besides these, every action needs a POSIX shell and the usual small programs (``BASE``).
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from drillbook.errors import UnknownName
from drillbook.sdk import discovery, plugin_loading
from drillbook.sdk.action import Action
from drillbook.sdk.needs import NOTHING as NOTHING  # noqa: PLC0414  re-exported: systems import everything from here
from drillbook.sdk.needs import BySudo as BySudo  # noqa: PLC0414
from drillbook.sdk.needs import HostNeeds as HostNeeds  # noqa: PLC0414

_BASE = """
awk cat chmod chown cmp cp cut date dd df dirname du echo env expr false find grep head id kill ln ls mkdir mkfifo mktemp mv nohup
od printf ps pwd readlink realpath rm rmdir sed setsid sh sha1sum sha256sum sleep sort stat sync tail tee test touch tr true uname
uniq wc
"""
BASE = tuple(_BASE.split())
"""Programs that every host needs: a POSIX shell, and programs of POSIX and of GNU coreutils."""
_BARE = "awk cat date df du env head id mkdir realpath rm sed sha256sum stat tail test"
BARE = tuple(_BARE.split())
"""Programs in ``BASE`` that actions also start directly, without a shell script."""
MANAGERS = frozenset({"systemctl", "supervisorctl", "docker"})
"""Programs of service managers. An action that starts or stops a unit needs the program of the host's service manager.

The exact commands for a unit are known before the drill begins. So the list of commands for sudo contains these exact
commands. It does not allow the program with arbitrary arguments.
"""


def of(action: str) -> HostNeeds | None:
    """Return the needs of ``action`` on its host. Return None when no needs are declared.

    The class of the action can declare them. If it does not, the table ``HOST_NEEDS`` of the action's system is used. A key of
    ``HOST_NEEDS`` is the name of an action, or a pattern for names. An exact name takes precedence over a pattern.
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
    """Return the needs that the class of ``action`` declares. Return None for a probe, and for an action without declared
    needs.
    """
    try:
        needs: HostNeeds | None = discovery.find(action, Action).NEEDS
    except UnknownName:
        return None
    return needs
