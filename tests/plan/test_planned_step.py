"""Planned steps: the account is written only where a step names one, and a phrase tells what a step works on."""

import pytest

from tests.plan.test_planner import HOSTS, made
from tests.plan.test_privilege import DRILL


def test_a_plan_without_become_is_written_as_before(tmp_path):
    plan = made(tmp_path, DRILL)
    assert "become" not in str(plan.model_dump(mode="json"))
    assert made(tmp_path, DRILL, HOSTS.replace("port: 2201", "port: 2201, become: true")).digest != plan.digest


@pytest.mark.parametrize(
    ("params", "hosts", "services", "said"),
    [
        ({"service": "api"}, ("app-1",), ("api",), "PLACES"),
        ({"service": "api"}, ("controller",), ("api",), "api (from the PLACES)"),
        ({"restores": {"service": "db"}, "service": "api"}, ("controller",), ("api", "db"), "api, db (from the PLACES)"),
        ({"restores": "db"}, ("controller",), (), "PLACES"),
    ],
)
def test_a_step_on_the_controller_works_on_the_services_that_it_names(tmp_path, params, hosts, services, said):
    step = made(tmp_path, DRILL).steps[0].model_copy(update={"params": params, "hosts": hosts})
    assert step.services() == services
    assert step.works_on("PLACES") == said
