"""Programs, permissions and network access that `service.*`, `settings.*` and `env.*` need on a host."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_MANAGERS = (("systemctl", "supervisorctl", "docker"),)
HOST_NEEDS = {
    "service.status": HostNeeds(
        (), "any user; for supervisor: access to its socket; for Docker: access to the engine's socket", either=_MANAGERS
    ),
    "service.answers": HostNeeds(
        ports=("access to the service's port or URL from the controller (with `reach: ssh`, from the service's host)")
    ),
    "service.log": HostNeeds(
        (),
        (
            "permission to read the unit's log: root, or a member of the group adm or systemd-journal; for supervisor: access to "
            "its socket; for Docker: access to the engine's socket"
        ),
        either=(("journalctl", "supervisorctl", "docker"),),
    ),
    "service.*": HostNeeds(
        (), "permission to start and stop the unit (root, or `manager: {sudo: true}`)", either=_MANAGERS, by_sudo=BySudo.UNIT
    ),
    "settings.*": HostNeeds(
        (),
        "permission to write the env file, and to restart the unit (root, or `manager: {sudo: true}`)",
        either=_MANAGERS,
        by_sudo=BySudo.UNIT | BySudo.ROOT,
    ),
    "env.*": HostNeeds((), "permission to read the env file"),
}
