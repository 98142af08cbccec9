"""Real Docker engine: separate containers for a test, and one Docker lab that all workers share."""

import contextlib
import fcntl
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from drillbook.errors import LabError
from drillbook.lab.containers import control
from drillbook.project.project import Project
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, ManagerConfig
from drillbook.systems.docker.service import Container
from tests.needs import docker_engine, missing
from tests.systems.ground import Ground

ROOT = Path(__file__).parent.parent.parent
FILES = ROOT / "lab"


@pytest.fixture(scope="session")
def engine():
    """A client of the engine."""
    docker_engine()
    import docker

    client = docker.from_env(timeout=120)
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine):
    """Image of the lab's API, with a shell and Python; built if missing."""
    try:
        return f"drillbook-lab/app:{control.build(FILES)}"
    except LabError as error:
        missing(f"the images of the Docker lab cannot be built: {error.message}")


class Box(Ground):
    """This machine as a host with one service, a container of the test."""

    def __init__(self, root, client, image):
        super().__init__(root, ManagerConfig(kind="docker"))
        self.client, self.image, self.made, self.networks = client, image, [], []

    def container(self, *command, **options):
        name = f"drillbook-test-{uuid.uuid4().hex[:8]}"
        made = self.client.containers.run(
            self.image,
            list(command) or ["sleep", "600"],
            name=name,
            detach=True,
            **{"init": True, "network_mode": "none", **options},
        )
        self.made.append(made)
        self.services = {"box": Container(name="box", host="here", container=name, unit=name)}
        return made

    def network(self, *subnets):
        from docker.types import IPAMConfig, IPAMPool

        pools = {"ipam": IPAMConfig(pool_configs=[IPAMPool(subnet=one) for one in subnets])} if subnets else {}
        made = self.client.networks.create(f"drillbook-test-{uuid.uuid4().hex[:8]}", enable_ipv6=len(subnets) > 1, **pools)
        self.networks.append(made)
        return made

    def close(self):
        for one in self.made:
            one.remove(force=True)
        for one in self.networks:
            one.remove()
        super().close()


@pytest.fixture
def box(tmp_path, engine, image):
    made = Box(tmp_path, engine, image)
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared(engine, image, tmp_path_factory):
    """Folder of the lab that all workers share; the last worker stops the lab."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    number = uuid.uuid5(uuid.NAMESPACE_URL, str(base)).hex[:8]
    folder = Path(f"/var/tmp/drillbook-test-{number}-docker")
    with (base / "docker-lab.users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield folder, base / "docker-lab.lock"
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            control.down(folder)


@dataclass
class Site:
    """The lab, reserved for one test, and a separate project folder."""

    lab: object
    project: Project


@pytest.fixture
def site(shared, tmp_path, monkeypatch):
    folder, lock = shared
    monkeypatch.setenv("DRILLBOOK_LAB", str(folder).removesuffix("-docker"))
    for name in ("drills", "inventory", "lab"):
        (tmp_path / name).symlink_to(ROOT / name)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield Site(control.up(folder, FILES), Project(tmp_path))


def context(host, services, folder, *, within=60.0, run="", step="inject.1"):
    folder.mkdir(parents=True, exist_ok=True)
    return Context(
        run_id=run or f"run-{uuid.uuid4().hex[:8]}",
        step=step,
        host=host,
        services=services,
        host_named=lambda name: host,
        deadline=Deadline.after(within),
        folder=folder,
    )
