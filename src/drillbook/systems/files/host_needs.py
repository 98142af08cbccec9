"""Programs, permissions and network access that the actions `files.*` need on a host."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_STORE = "access by HTTPS from this host to the store"
HOST_NEEDS = {
    "files.archive": HostNeeds(("tar", "gzip"), "permission to read the whole folder", _STORE, (("python3", "curl"),)),
    "files.extract": HostNeeds(
        ("tar", "gzip", "python3"), "permission to write the folder, and to set the owners of files (root)", _STORE
    ),
    "files.backup_intact": HostNeeds(
        ("tar", "gzip"), "permission to write the folder `scratch`", _STORE, (("python3", "curl"),)
    ),
    "files.matches": HostNeeds(
        ("python3",), "permission to read the whole folder", "access to the store, from the controller"
    ),
    "files.compare": HostNeeds(("python3",), "permission of the user `run_as` to read both folders", by_sudo=BySudo.RUN_AS),
    "files.recorded": HostNeeds(
        ("python3",), "permission of the user `run_as` to read the folder and its list of digests", by_sudo=BySudo.RUN_AS
    ),
    "files.newest_moment": HostNeeds(
        ("python3",), "permission of the user `run_as` to read the folder", by_sudo=BySudo.RUN_AS
    ),
    "files.lose": HostNeeds(("python3",), "permission to write the folder and its parent folder"),
    "files.fill_disk": HostNeeds((), "permission to write the folder", either=(("fallocate", "dd"),)),
    "files.*": HostNeeds((), "permission to read the files; for faults, permission to write the files and their folder"),
}
