"""Compose project, defined by the labels of its containers."""

import uuid

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.docker.compose_actions import Ps, Stop
from tests.systems.refusals import refused_until


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


@pytest.mark.parametrize("kind", [Ps, Stop])
def test_a_service_of_several_containers_is_refused(box, project, kind):
    project("api")
    one = box.services
    second = project("api")
    with pytest.raises(CouldNotVerify, match=r"the service 'api' of .* has more than one container"):
        Ps(service="box").run(box.ctx())

    def remove():
        second.remove(force=True)
        box.made.remove(second)
        box.services = one

    refused_until(lambda: kind(service="box").ready(box.ctx()), "has more than one container", remove)


def test_where_nothing_runs_nothing_is_stopped_and_nothing_would_be_started(box, project):
    api = project("api")
    api.kill()
    project("cache")
    stop = Stop(service="box", only=("api",))
    with pytest.raises(NotReady, match="none of the chosen services runs"):
        stop.undo(box.ctx())
    refused_until(lambda: stop.ready(box.ctx()), "these services do not run before the drill: api", api.start)
    stop.undo(box.ctx())


def test_a_project_with_a_container_that_is_gone_once_it_ends(box, project):
    passing = project("api", auto_remove=True)

    def renew():
        passing.remove(force=True)
        box.made.remove(passing)
        project("api")

    refused_until(lambda: Stop(service="box").ready(box.ctx()), "was created with --rm", renew)
