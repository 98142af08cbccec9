"""Needs of the actions on containers on the host of their engine."""

from drillbook.sdk.host_needs import HostNeeds

_RIGHTS = "access to the engine's socket: the group docker, root, or `manager: {sudo: true}`"
HOST_NEEDS = {
    "compose.*": HostNeeds(commands=("docker",), rights=f"{_RIGHTS}; read the project's files; the plugin docker-compose"),
    "docker.volume_*": HostNeeds(commands=("docker",), rights=f"{_RIGHTS}; write `scratch`", either=(("python3", "curl"),)),
    "docker.*": HostNeeds(commands=("docker",), rights=_RIGHTS),
}
