"""Needs of the actions on units of a service manager, and on settings."""

from drillbook.sdk.host_needs import HostNeeds

_MANAGERS = (("systemctl", "supervisorctl", "docker"),)
HOST_NEEDS = {
    "service.status": HostNeeds(
        (), "any user; with supervisor access to its socket, with Docker to the engine's", either=_MANAGERS
    ),
    "service.answers": HostNeeds(ports="the service's port or URL, by `reach`"),
    "service.log": HostNeeds(
        (),
        "read the unit's log: the groups adm or systemd-journal, or root",
        either=(("journalctl", "supervisorctl", "docker"),),
    ),
    "service.*": HostNeeds((), "start and stop the unit (`manager: {sudo: true}`, or root)", either=_MANAGERS),
    "settings.*": HostNeeds(
        (), "write the file of settings; restart the unit (`manager: {sudo: true}`, or root)", either=_MANAGERS
    ),
    "env.*": HostNeeds((), "read the env file; for a running process its user, or root"),
}
