"""Compose project, defined by the labels of its containers."""

import pytest

from drillbook.errors import NotReady
from drillbook.systems.docker.compose_actions import Stop
from tests.systems.refusals import refused_until


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
