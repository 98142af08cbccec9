"""Needs of the actions on objects of a store."""

from drillbook.sdk.host_needs import HostNeeds

_FROM = "HTTPS to the store, from this host"
HOST_NEEDS = {
    "s3.copy": HostNeeds(("python3",), "keys that may read the source and write the target", _FROM),
    "s3.restore": HostNeeds(("python3",), "keys that may read the copy and write the bucket", _FROM),
    "s3.versions_restore": HostNeeds(("python3",), "keys that may read, copy and delete versions", _FROM),
    "s3.backup_intact": HostNeeds(("python3",), "keys that may read", _FROM),
    "s3.matches": HostNeeds(("python3",), "keys that may read", _FROM),
    "s3.*": HostNeeds(
        (), "keys that may read; for faults and writes keys that may write", "HTTPS to the store, from the controller"
    ),
}
