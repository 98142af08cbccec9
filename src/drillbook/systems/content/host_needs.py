"""Rights and network access that the actions `content.*` need on a host."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "content.*": HostNeeds(
        rights="the rights that the drill's own commands need; `become` can give them",
        ports="access from the controller to the URLs that the drill names",
    ),
}
