"""Permissions and network access that the actions on Qdrant need."""

from drillbook.sdk.host_needs import HostNeeds

_WRITE, _BOTH = "an API key that may write", "access to the HTTP port of Qdrant and to the store, from the controller"
HOST_NEEDS = {
    "qdrant.snapshot": HostNeeds(rights=_WRITE, ports=_BOTH),
    "qdrant.restore": HostNeeds(rights=_WRITE, ports=_BOTH),
    "qdrant.matches": HostNeeds(rights="an API key", ports=_BOTH),
    "qdrant.reconcile": HostNeeds(rights=_WRITE, ports=f"{_BOTH}; access to the database"),
    "qdrant.recover": HostNeeds(
        rights=_WRITE, ports=f"{_BOTH}; access from the Qdrant server to the store, with a URL that expires"
    ),
    "qdrant.newest_snapshot": HostNeeds(ports="access to the store, from the controller"),
    "qdrant.backup_intact": HostNeeds(ports="access to the store, from the controller"),
    "qdrant.*": HostNeeds(
        rights="an API key; for faults and restores an API key that may write",
        ports="access to the HTTP port of Qdrant, from the controller",
    ),
}
