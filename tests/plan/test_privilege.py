"""Accounts in a plan: steps, services and hosts name them, and the most specific one counts."""

import pytest

from drillbook.errors import InventoryError, SpecError
from drillbook.plan import privilege
from tests.plan.test_planner import HOSTS, made

DRILL = """\
drill: sample
title: A sample
service: api
restore:
  - service.start: {service: api}
  - command.run: {argv: [look], effect: read}
    hosts: [app-1, db-1]
"""


def accounts(plan):
    found = {}
    for step in plan.steps:
        for host in step.hosts:
            become = privilege.of_step(plan.inventory, step, host)
            found[step.id, host] = become and become.user
    return found


@pytest.mark.parametrize(
    ("host", "service", "step", "wanted"),
    [
        ("", "", "", None),
        ("become: true", "", "", "root"),
        ("become: {user: root}", "become: app", "", "app"),
        ("become: true", "become: app", "become: web", "web"),
        ("become: true", "become: false", "", None),
        ("become: true", "", "become: false", None),
        ("", "", "become: true", "root"),
    ],
)
def test_the_nearest_of_step_service_and_host_names_the_account(tmp_path, host, service, step, wanted):
    hosts = HOSTS.replace("port: 2201", f"port: 2201{host and f', {host}'}")
    hosts = hosts.replace("unit: api", f"unit: api{service and f', {service}'}")
    drill = DRILL.replace("{service: api}\n  -", f"{{service: api}}\n{step and f'    {step}'}\n  -")
    plan = made(tmp_path, drill, hosts)
    assert accounts(plan)["restore.1", "app-1"] == wanted
    assert accounts(plan)["restore.2", "app-1"] == ("root" if host else None), "the service is not that of this step"
    assert accounts(plan)["restore.2", "db-1"] is None
    assert [(name, become.user) for name, become in privilege.used(plan)] == sorted(
        {("app-1", one) for one in (wanted, "root" if host else None) if one}, key=lambda one: one[1] != wanted
    )


def test_a_password_comes_from_the_host_when_the_step_names_the_account(tmp_path):
    hosts = HOSTS.replace("port: 2201", "port: 2201, become: {user: root, password: !env SUDO}")
    plan = made(tmp_path, DRILL.replace("{service: api}", "{service: api}\n    become: app"), hosts)
    become = privilege.of_step(plan.inventory, plan.steps[0], "app-1")
    assert (become.user, become.password.name) == ("app", "SUDO")
    assert plan.inventory.secrets_of_hosts().keys() == {"hosts.app-1.become.password"}


def test_no_name_of_an_account_is_an_option_or_a_command(tmp_path):
    with pytest.raises(InventoryError):
        made(tmp_path, DRILL, HOSTS.replace("port: 2201", 'port: 2201, become: "-s"'))
    with pytest.raises(SpecError):
        made(tmp_path, DRILL.replace("{service: api}\n  -", '{service: api}\n    become: "a b"\n  -'))
