"""Rights that the actions `command.*` need on a host."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "command.*": HostNeeds(rights="the rights that the command needs, given by `become`"),
}
