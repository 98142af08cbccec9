"""Permissions and network access that the action `capacity.collect` needs on a host."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

HOST_NEEDS = {
    "capacity.*": HostNeeds(
        rights="permission to read the sizes of the service: the account of the service in the inventory is enough, but folders "
        "of other users need root or `manager: {sudo: true}`",
        ports="access to the port of the service, from the place that is set with its `reach`",
        by_sudo=BySudo.ROOT,
    ),
}
