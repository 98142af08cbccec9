"""Needs of the actions of Redis and Valkey."""

from drillbook.sdk.host_needs import HostNeeds

_STORE = "HTTPS from the host to the store"
_PORT = "the server's port, by `reach`"
HOST_NEEDS = {
    "redis.save": HostNeeds(
        (), "read the file of the dump (`run_as`); commands SAVE and CONFIG", f"{_PORT}; {_STORE}", (("python3", "curl"),)
    ),
    "redis.restore": HostNeeds(
        (),
        "write the data folder (`run_as`); start and stop the unit (`manager: {sudo: true}`, or root)",
        f"{_PORT}; {_STORE}",
        (("python3", "curl"), ("systemctl", "supervisorctl", "docker")),
    ),
    "redis.backup_intact": HostNeeds((), "write `scratch`", _STORE, (("python3", "curl"),)),
    "redis.*": HostNeeds((), "an account with the commands that it uses; for faults FLUSHALL", _PORT),
}
