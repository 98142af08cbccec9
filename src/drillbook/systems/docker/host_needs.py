"""Needs of the actions on containers, on the host of the container engine."""

from drillbook.sdk.host_needs import HostNeeds

_RIGHTS = "access to the engine's socket: root, a member of the group docker, or `manager: {sudo: true}`"
HOST_NEEDS = {
    "compose.*": HostNeeds(
        commands=("docker",), rights=f"{_RIGHTS}; permission to read the project's files; the plugin docker-compose"
    ),
    "docker.volume_*": HostNeeds(
        commands=("docker",), rights=f"{_RIGHTS}; permission to write the folder `scratch`", either=(("python3", "curl"),)
    ),
    "docker.*": HostNeeds(commands=("docker",), rights=_RIGHTS),
}
