"""Needs of custom commands on a host."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "command.*": HostNeeds(rights="those that the command needs (`become`)"),
}
