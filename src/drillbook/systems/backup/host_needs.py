"""Rights and connections that the actions on a team's own backups need on a host.

The page docs/backup-methods.md lists the tools that each kind of backup needs.
"""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_READ = (
    "permission to read the backups, for the account `run_as` of the backup source, and the tools for this kind of backup"
)
_PLACE = (
    "for backups in a bucket: HTTPS access to the bucket from the host and from the controller; for backups at a URL: HTTPS "
    "access to the URL from the host; for a repository of restic or pgBackRest on another machine: access to that machine "
    "from the host"
)
HOST_NEEDS = {
    "backup.restore": HostNeeds(
        rights=f"{_READ}; for a sandbox, its host needs unprivileged user namespaces, root, or access to a Docker engine; for a "
        "restore in place, permission to start and stop the unit (`manager: {sudo: true}`, or root)",
        ports=_PLACE,
        either=(("unshare", "docker"), ("python3", "curl")),
        by_sudo=BySudo.UNIT | BySudo.RUN_AS,
    ),
    "loss.*": HostNeeds(ports="the rights and ports that the action `*.newest_moment` for this kind of service needs"),
    "backup.*": HostNeeds(rights=_READ, ports=_PLACE, either=(("python3",),), by_sudo=BySudo.RUN_AS),
}
