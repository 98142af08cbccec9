"""For each action on a team's own backups: the rights and connections that it needs on a host.

The documentation's page about backup methods lists the tools for each kind of backup.
"""

from drillbook.sdk.host_needs import HostNeeds

_READ = "permission to read the backups as the user `run_as` of the source, with the tools for this kind of backup"
HOST_NEEDS = {
    "backup.restore": HostNeeds(
        rights=f"{_READ}; on the sandbox's host: unprivileged user namespaces, root, or access to a Docker engine; for a restore "
        "in place: permission to start and stop the unit (`manager: {sudo: true}`, or root)",
        either=(("unshare", "docker"), ("python3", "curl")),
    ),
    "loss.*": HostNeeds(ports="the access that the action `*.newest_moment` for this kind of service needs"),
    "backup.*": HostNeeds(rights=_READ, either=(("python3",),)),
}
