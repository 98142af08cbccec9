"""Commands and rights that the container actions need on the host that runs the container engine."""

from drillbook.sdk.host_needs import BySudo, HostNeeds

_RIGHTS = "access to the engine's socket: root, a member of the group docker, or `manager: {sudo: true}`"
HOST_NEEDS = {
    "compose.*": HostNeeds(
        commands=("docker",),
        rights=f"{_RIGHTS}; permission to read the project's files; the plugin docker-compose",
        by_sudo=BySudo.ROOT,
    ),
    "docker.volume_*": HostNeeds(
        commands=("docker",),
        rights=f"{_RIGHTS}; permission to write the folder `scratch`",
        ports="HTTPS from the host to the store",
        either=(("python3", "curl"),),
        by_sudo=BySudo.ROOT,
    ),
    "docker.*": HostNeeds(commands=("docker",), rights=_RIGHTS, by_sudo=BySudo.ROOT),
}
