"""Programs, permissions and network access that the actions on S3 objects need."""

from drillbook.sdk.host_needs import HostNeeds

_FROM = "HTTPS access to the store, from this host"
HOST_NEEDS = {
    "s3.copy": HostNeeds(("python3",), "access keys that permit reading the source and writing the target", _FROM),
    "s3.restore": HostNeeds(("python3",), "access keys that permit reading the copy and writing the bucket", _FROM),
    "s3.versions_restore": HostNeeds(("python3",), "access keys that permit reading versions and writing objects", _FROM),
    "s3.backup_intact": HostNeeds(("python3",), "access keys that permit reading", _FROM),
    "s3.matches": HostNeeds(("python3",), "access keys that permit reading", _FROM),
    "s3.*": HostNeeds(
        (),
        "access keys that permit reading; for faults and writes also keys that permit writing and deleting",
        "HTTPS to the store, from the controller",
    ),
}
