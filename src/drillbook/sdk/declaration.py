"""Declaration of a system: the modules of a package that define actions, probes, service kinds and findings."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class System:
    """Declaration of a system: its package, and the modules in it that define actions, probes and service kinds."""

    package: str
    """Dotted name of the package. Names of modules are relative to this package, such as ``.actions``."""
    actions: Mapping[str, str] = field(default_factory=dict)
    """Modules or packages that define actions. The key of each entry is the family of these actions.

    The family is the part of an action's name before the dot.
    """
    probes: Mapping[str, str] = field(default_factory=dict)
    """Modules or packages that define probes. The key of each entry is the family of these probes.

    The family is the part of a probe's name before the dot.
    """
    services: Mapping[str, str] = field(default_factory=dict)
    """Modules that define kinds of services. The key of each entry is the name of the kind in inventories."""
    logins: Mapping[str, str] = field(default_factory=dict)
    """Modules with a function ``refused``. Before a drill, this function tries a login, and returns the message of a server
    that refuses the login. The key of each entry is the kind of service.
    """
    needs: tuple[str, ...] = ()
    """Names of the other systems that this system imports."""
    findings: str = ""
    """Module with the mapping ``FINDINGS``: the system's findings by their codes. The name is empty when there are no
    findings.
    """
    trees: str = ""
    """Folder in the package that contains diagnosis trees. The name is empty for a system without trees."""
    drills: str = ""
    """Folder in the package that contains drills. The name is empty for a system without drills."""
    examples: str = ""
    """Folder in the package with drills that show how the system's actions are used. These drills belong to no project."""
    rehearsal: str = ""
    """Folder in the package with templates of `init --rehearse`; see ``sdk.rehearsal``. The name is empty for a system without
    them.
    """
    looks: str = ""
    """Module with ``LOOKS``: how services are recognised on a host; see ``sdk.looks``. The name is empty for a system without
    such a module.
    """
    host_needs: str = ""
    """Module with ``HOST_NEEDS``: what the system's actions need on a host. The name is empty when the actions need nothing on
    a host.
    """
    by_hand: str = ""
    """Module with ``BY_HAND``: the commands with which a person does steps of the system's actions. The name is empty when
    there are none.
    """
    varying_arguments: str = ""
    """Module with ``VARYING_ARGUMENTS``: parts of commands that differ in every run, for rules of sudo. The name is empty when
    there are no such parts.
    """
    log_restore: str = ""
    """Action of the system that restores a backup together with an archived log. The log brings back data that is newer than
    the backup. The name is empty when the system has no such action.
    """
    routine_drill: str = ""
    """Drill of the catalogue that restores a routine backup of the system's data. Reports suggest to copy it. The name is empty
    for plugins, and when the catalogue has no such drill.
    """
    own_backups: bool = False
    """True if the server itself writes the backups that ``routine_drill`` restores. Such backups exist in a lab, too, which has
    no backup jobs.
    """
    extra: str = ""
    """Name of Drillbook's pip extra that the system's actions and probes need. The name is empty for plugins, and when the
    actions and probes need no extra.
    """
    origin: str = ""
    """Distribution or folder that a plugin comes from. Discovery sets this field. It is empty for built-in systems."""
    version: str = ""
    """Version of a plugin's distribution, or digest of its files; set by discovery. It is empty for built-in systems."""

    @property
    def name(self) -> str:
        """Last part of the package's name."""
        return self.package.rpartition(".")[2]

    def folder(self, part: str) -> Path | None:
        """Return the path of a folder that the system declares in the field ``part``. Return None when it declares none."""
        declared: str = getattr(self, part)
        module = importlib.import_module(self.package)
        return Path(str(module.__file__)).parent / declared if declared else None

    def files(self, part: str) -> list[Path]:
        """Return the YAML files, sorted by path, in the folder that the system declares in the field ``part``, such as
        ``trees``.

        For a plugin, only files that its loader has read are returned. Two kinds of files are left out: links in a plugin of
        the project, and files that were added after the plugin was compared with the trusted digest.
        """
        folder = self.folder(part)
        return [path for path in sorted(folder.glob("*.yml")) if not self.origin or self._known(path)] if folder else []

    def _known(self, path: Path) -> bool:
        loader = getattr(importlib.import_module(self.package).__spec__, "loader", None)
        try:
            return loader is None or loader.get_data(str(path)) is not None
        except OSError:
            return False

    def modules(self, part: str) -> Mapping[str, str]:
        """Return the full names of the modules in the field ``part``. The key of each entry is the family or kind that a
        module defines.
        """
        declared: Mapping[str, str] = getattr(self, part)
        return {name: importlib.util.resolve_name(module, self.package) for name, module in declared.items()}
