"""Needs of the actions on a team's own backups: rights and connections on a host.

The documentation's page about backup methods lists the tools for each kind of backup.
"""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_READ = "read the backups (`run_as` of the source), with the tools of their kind"
HOST_NEEDS = {
    "backup.restore": HostNeeds(
        rights=f"{_READ}; for a sandbox, its host needs unprivileged user namespaces, root, or access to a Docker engine; for a "
        "restore in place, permission to start and stop the unit (`manager: {sudo: true}`, or root)",
        either=(("unshare", "docker"), ("python3", "curl")),
        by_sudo=BySudo.UNIT | BySudo.RUN_AS,
    ),
    "loss.*": HostNeeds(ports="the rights and ports of the action `*.newest_moment` of the service's kind"),
    "backup.*": HostNeeds(rights=_READ, either=(("python3",),), by_sudo=BySudo.RUN_AS),
}
