"""Service managers: the commands that ask, start, stop and kill a unit, for supervisor, systemd and Docker."""

from drillbook.host import Host
from drillbook.manager.container import Docker
from drillbook.manager.supervisor import Supervisor
from drillbook.manager.systemd import Systemd
from drillbook.manager.unit import Argv, Manager, UnitState

__all__ = ["Argv", "Manager", "UnitState", "manager_of"]

_KINDS: dict[str, type[Manager]] = {"supervisor": Supervisor, "systemd": Systemd, "docker": Docker}


def manager_of(host: Host) -> Manager:
    """The service manager that the inventory names for ``host``."""
    config = host.target.manager
    return _KINDS[config.kind](config)
