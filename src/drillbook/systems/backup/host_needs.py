"""Needs of the actions on a team's own backups; the tools of each kind are on the page of backup methods."""

from drillbook.sdk.host_needs import HostNeeds

_READ = "read the backups (`run_as` of the source), with the tools of their kind"
HOST_NEEDS = {
    "backup.restore": HostNeeds(
        rights=f"{_READ}; on the sandbox's host unprivileged user namespaces or root, or access to a Docker engine",
        either=(("unshare", "docker"), ("python3", "curl")),
    ),
    "loss.*": HostNeeds(ports="those of the actions whose results it combines"),
    "backup.*": HostNeeds(rights=_READ, either=(("python3",),)),
}
