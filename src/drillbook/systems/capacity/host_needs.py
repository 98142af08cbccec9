"""Needs of the measurement of sizes on a host."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "capacity.*": HostNeeds(
        rights="read the sizes of the service, as its own account", ports="the port of the service, by `reach`"
    ),
}
