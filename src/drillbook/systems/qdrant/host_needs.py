"""Needs of the actions of Qdrant."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "qdrant.snapshot": HostNeeds(
        rights="an API key that may write", ports="the HTTP port and the store, from the controller"
    ),
    "qdrant.backup_intact": HostNeeds(ports="the store, from the controller"),
    "qdrant.*": HostNeeds(
        rights="an API key; for faults and restores one that may write", ports="the HTTP port, by `reach`"
    ),
}
