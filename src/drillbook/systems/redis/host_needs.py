"""Permissions, network access and programs that the actions on Redis and Valkey need."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_STORE = "HTTPS from the host to the store"
_PORT = "access to the port of the server, from the place that is set with `reach`"
HOST_NEEDS = {
    "redis.save": HostNeeds(
        (),
        "permission to read the dump file as the user `run_as`, and to send the Redis commands SAVE and CONFIG",
        f"{_PORT}; {_STORE}",
        (("python3", "curl"),),
        by_sudo=BySudo.RUN_AS,
    ),
    "redis.restore": HostNeeds(
        (),
        "permission to write the data folder as the user `run_as`, and to start and stop the unit (`manager: {sudo: true}`, or root)",
        f"{_PORT}; {_STORE}",
        (("python3", "curl"), ("systemctl", "supervisorctl", "docker")),
        by_sudo=BySudo.UNIT | BySudo.RUN_AS,
    ),
    "redis.backup_intact": HostNeeds((), "permission to write the folder `scratch`", _STORE, (("python3", "curl"),)),
    "redis.matches": HostNeeds(
        (), "a Redis account that may read all keys", f"{_PORT}; access to the store, from the controller"
    ),
    "redis.*": HostNeeds(
        (), "a Redis account that may run the commands of the action; for faults this includes FLUSHALL", _PORT
    ),
}
