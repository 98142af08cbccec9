"""Needs of requests to services."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "http.serve": HostNeeds(
        either=(("systemctl", "supervisorctl", "docker"),),
        rights="start the service's units (`manager: {sudo: true}`, or root)",
        ports="the service's URL, from the controller",
    ),
    "http.errors": HostNeeds(rights="read the access log"),
    "http.slowest": HostNeeds(rights="read the access log"),
    "http.*": HostNeeds(ports="the URL, from the controller (or by the host's SSH, with `reach: ssh`)"),
}
