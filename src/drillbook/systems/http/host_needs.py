"""Programs, permissions and network access that the actions `http.*` need on a host."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_LOG = "permission to read the access log, or root, or `manager: {sudo: true}`"
HOST_NEEDS = {
    "http.serve": HostNeeds(
        either=(("systemctl", "supervisorctl", "docker"),),
        rights="permission to start the service's unit (root, or `manager: {sudo: true}`)",
        ports="access from the controller to the service's URL",
        by_sudo=BySudo.UNIT,
    ),
    "http.errors": HostNeeds(rights=_LOG, by_sudo=BySudo.ROOT),
    "http.slowest": HostNeeds(rights=_LOG, by_sudo=BySudo.ROOT),
    "http.*": HostNeeds(ports="access from the controller to the URL"),
}
