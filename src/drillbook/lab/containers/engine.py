"""The Docker engine of the Docker lab, used through ``docker`` and Docker Compose.

When a program is missing, the hint of the error shows how to install it.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drillbook.errors import LabError
from drillbook.sdk.host import printable

LABEL = "com.docker.compose.project"
Progress = Callable[[str], None]


def docker(*arguments: str, within: float = 60.0, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run ``docker``. The caller checks its exit status. Raises LabError when the program is missing, or takes too long."""
    return _run(("docker", *arguments), within=within, stdin=stdin)


def socket_path() -> str:
    """Return the path of the engine's socket. Raises LabError when DOCKER_HOST is not a local socket."""
    chosen = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not chosen.startswith("unix://"):
        raise LabError(
            f"the Docker lab needs a Docker engine on this machine, but DOCKER_HOST is {chosen}", hint="unset DOCKER_HOST"
        )
    return chosen.removeprefix("unix://")


def need() -> None:
    """Raise LabError unless the Docker engine and Docker Compose work. The hint tells how to install or start them."""
    socket_path()
    said = docker("version", "--format", "{{.Server.Version}}", within=20)
    if said.returncode != 0:
        why = said.stderr.strip()
        if "permission denied" in why.lower():
            raise LabError(
                f"this user may not access the Docker engine: {_last(why)}",
                hint="add the user to the group of the socket: sudo usermod -aG docker $USER, then log in again",
            )
        raise LabError(
            f"no Docker engine answers: {_last(why)}",
            hint="install Docker (on Debian: apt-get install docker.io) and start it: systemctl start docker",
        )
    compose()


@functools.cache
def compose() -> tuple[str, ...]:
    """Return the command of Docker Compose: the plugin or the stand-alone program. Raises LabError if neither is installed."""
    for words in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(words[0]) and _run((*words, "version", "--short"), within=20).returncode == 0:
            return words
    raise LabError(
        "Docker Compose is not installed",
        hint="on Debian: apt-get install docker-compose; elsewhere the package docker-compose-plugin",
    )


def composed(
    lab: Path, files: Path, project: str, *arguments: str, within: float, more: Mapping[str, str] | None = None
) -> None:
    """Run Docker Compose on the file ``files``/compose.yml, with the env file in the lab's folder.

    Raises LabError when Docker Compose fails.
    """
    words = (
        *compose(),
        "-p",
        project,
        "--project-directory",
        str(files),
        "-f",
        str(files / "compose.yml"),
        "--env-file",
        str(lab / "compose.env"),
        "--progress",
        "plain",
        *arguments,
    )
    done = _run(words, within=within, more=more)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).strip().splitlines() if line.strip()]
        raise LabError(f"Docker Compose could not run `{' '.join(arguments)}`:\n" + printable("\n".join(lines[-15:])))


def containers(project: str) -> dict[str, dict[str, Any]]:
    """Return the description of each container of a project, as `docker inspect` prints it. The key of each entry is the
    service.

    Raises LabError when Docker is missing or too slow.
    """
    listing = docker("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}={project}")
    if listing.returncode != 0 or not (numbers := listing.stdout.split()):
        return {}
    answer = docker("inspect", "--type", "container", *numbers)
    if answer.returncode != 0:  # a container has terminated between the two commands
        return {}
    name = "com.docker.compose.service"
    return {str(load["Config"]["Labels"].get(name, load["Name"])): load for load in json.loads(answer.stdout)}


def remove(project: str) -> None:
    """Remove containers, networks and volumes of a project, and nothing else.

    Raises LabError when the engine does not remove all of them.
    """
    label = f"label={LABEL}={project}"
    for listed, removed in (
        (("ps", "-aq"), ("rm", "-f", "-v")),
        (("network", "ls", "-q"), ("network", "rm")),
        (("volume", "ls", "-q"), ("volume", "rm", "-f")),
    ):
        ids = docker(*listed, "--filter", label).stdout.split()
        if ids and (done := docker(*removed, *ids, within=120)).returncode != 0:
            raise LabError(
                f"the engine did not remove all of {project}: {_last(done.stderr)}",
                hint=f"see `docker ps -a --filter {label}`",
            )


def _run(
    argv: Sequence[str], *, within: float, stdin: bytes = b"", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, check=False, timeout=within, env={**os.environ, **(more or {})}
        )
    except OSError as error:  # a folder on the PATH that cannot be read makes a missing program one without permission
        missing = shutil.which(argv[0]) is None
        raise LabError(
            f"{argv[0]} is not installed" if missing else f"{argv[0]} cannot be started: {error.strerror}",
            hint="on Debian: apt-get install docker.io docker-cli docker-compose",
        ) from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`{' '.join(argv[:3])}` did not finish within {within:.0f} s") from None
    out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(argv, done.returncode, out, err)


def _last(text: str) -> str:
    return printable((text.strip().splitlines() or ["no reason was given"])[-1], limit=400)
