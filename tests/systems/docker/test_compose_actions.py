"""A project of Compose, from containers that bear its labels."""

import uuid

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.docker.compose_actions import Ps, Stop


@pytest.fixture
def project(box):
    name = f"drillbook-test-{uuid.uuid4().hex[:8]}"

    def made(service, **more):
        labels = {"com.docker.compose.project": name, "com.docker.compose.service": service}
        return box.container(labels=labels | more.pop("labels", {}), **more)

    return made


def test_containers_of_compose_run_are_no_service(box, project):
    project("api", labels={"com.docker.compose.oneoff": "True"}).kill()
    project("api")
    project("cache")
    assert set(Ps(service="box").run(box.ctx())["services"]) == {"api", "cache"}


def test_a_service_of_several_containers_is_refused(box, project):
    project("api")
    project("api")
    with pytest.raises(CouldNotVerify, match=r"the service 'api' of .* has more than one container"):
        Ps(service="box").run(box.ctx())
    with pytest.raises(NotReady, match="has more than one container"):
        Stop(service="box").ready(box.ctx())


def test_where_nothing_runs_nothing_is_stopped_and_nothing_would_be_started(box, project):
    project("api").kill()
    project("cache")
    with pytest.raises(NotReady, match="none of the chosen services runs"):
        Stop(service="box", only=("api",)).undo(box.ctx())


def test_a_project_with_a_container_that_is_gone_once_it_ends(box, project):
    project("api", auto_remove=True)
    with pytest.raises(NotReady, match="was created with --rm"):
        Stop(service="box").ready(box.ctx())
