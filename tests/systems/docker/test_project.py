"""Compose project as its engine reports it."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.docker.compose_actions import Ps, Stop
from tests.systems.refusals import refused_until


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
