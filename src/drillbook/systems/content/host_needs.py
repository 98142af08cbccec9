"""Needs of the actions `content.*` on a host: rights and network access."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "content.*": HostNeeds(
        rights="the rights that the drill's own commands need, given by `become`",
        ports="access from the controller to the URLs that the drill names",
    ),
}
