"""Permissions and network access that the actions on Qdrant need."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "qdrant.snapshot": HostNeeds(
        rights="an API key that may write", ports="access to the HTTP port of Qdrant and to the store, from the controller"
    ),
    "qdrant.backup_intact": HostNeeds(ports="access to the store, from the controller"),
    "qdrant.*": HostNeeds(
        rights="an API key; for faults and restores an API key that may write",
        ports="access to the HTTP port of Qdrant, from the controller",
    ),
}
