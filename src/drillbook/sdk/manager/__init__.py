"""Service managers: the commands by which supervisor, systemd and Docker query, start, stop and kill a unit.

Lives here: one file for each manager, and their common base.
Lives elsewhere: the actions `service.*` (`systems.units`).
"""

from drillbook.sdk.host import Host, ManagerConfig
from drillbook.sdk.manager.container import Docker
from drillbook.sdk.manager.supervisor import Supervisor
from drillbook.sdk.manager.systemd import Systemd
from drillbook.sdk.manager.unit import Argv, Manager, UnitState

__all__ = ["Argv", "Manager", "UnitState", "manager_of", "manager_with"]

_KINDS: dict[str, type[Manager]] = {"supervisor": Supervisor, "systemd": Systemd, "docker": Docker}


def manager_of(host: Host) -> Manager:
    """Return the service manager that the inventory configures for ``host``."""
    return manager_with(host.target.manager)


def manager_with(config: ManagerConfig) -> Manager:
    """Return the service manager with the settings ``config`` from the inventory. No host is contacted."""
    return _KINDS[config.kind](config)
