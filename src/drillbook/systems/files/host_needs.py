"""Needs of the actions on files of a host."""

from drillbook.sdk.host_needs import HostNeeds

_STORE = "HTTPS from this host to the store"
HOST_NEEDS = {
    "files.archive": HostNeeds(("tar", "gzip"), "read the whole folder", _STORE, (("python3", "curl"),)),
    "files.extract": HostNeeds(("tar", "gzip", "python3"), "write the folder, and set owners (root)", _STORE),
    "files.backup_intact": HostNeeds(("tar", "gzip"), "write `scratch`", _STORE, (("python3", "curl"),)),
    "files.matches": HostNeeds(("python3",), "read the whole folder"),
    "files.compare": HostNeeds(("python3",), "read both folders"),
    "files.recorded": HostNeeds(("python3",), "read the folder and its list of digests"),
    "files.newest_moment": HostNeeds(("python3",), "read the folder"),
    "files.lose": HostNeeds(("python3",), "write the folder and its parent"),
    "files.fill_disk": HostNeeds((), "write the folder", either=(("fallocate", "dd"),)),
    "files.*": HostNeeds((), "read the files; for faults write them and their folder"),
}
