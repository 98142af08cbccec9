"""Logins of verify steps are tried before a drill: `drill.check` names those that a real server refuses."""

from __future__ import annotations

import json

import pytest

from tests.program import Folder, here
from tests.systems.postgres import fixtures

place, primary = fixtures.place, fixtures.primary


@pytest.fixture
def folder(tmp_path, primary):
    folder, service = Folder(tmp_path), primary.service
    (tmp_path / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(tmp_path)}}}\nservices:\n  app:\n    kind: postgres\n    host: controller\n"
        f"    address: {service.address}\n    port: {service.port}\n    database: {service.database}\n"
        f"    user: {service.user}\n    password: !env APP_PASSWORD\n"
        f"    admin: {{user: {service.admin.user}, password: !env ADMIN_PASSWORD}}\n    data_directory: /srv/shop\n"
    )
    folder.environment |= {
        "APP_PASSWORD": service.password.reveal(),
        "ADMIN_PASSWORD": service.admin.password.reveal(),
    }
    return folder


QUERY = "  - postgres.sql: {service: app, query: SELECT 1MORE}\n    expect: result.value == 1\n"


def checked(folder, steps):
    folder.write(steps)
    done = folder.run("drill.check", "sample", "--json")
    (found,) = json.loads(done.stdout)
    assert found["exit"] == done.returncode
    return done.returncode, " ".join(found["unverified"])


def test_a_login_that_the_server_refuses_is_named_with_its_step(folder):
    verify = "verify:\n" + QUERY.replace("MORE", "")
    assert checked(folder, verify) == (0, "")
    folder.environment["APP_PASSWORD"] = "not-this-one"
    status, said = checked(folder, verify)
    assert status == 3
    assert "sample.yml:5: postgres.sql on controller: the login at app: the server at " in said
    assert "password authentication failed for user" in said
    assert "check `services.app.user` (inventory/lab.yml:" in said
    assert checked(folder, "verify:\n" + QUERY.replace("MORE", ", as: admin")) == (0, ""), (
        "the superuser's password is right"
    )


def test_a_table_that_is_absent_refuses_the_drill_unless_an_earlier_step_may_make_it(folder):
    verify = "verify:\n  - postgres.sql: {service: app, query: SELECT 1 FROM gone}\n"
    make = "inject:\n  - postgres.sql: {service: app, query: CREATE TABLE gone (), effect: write, as: admin}\n"
    assert checked(folder, verify) == (4, "")
    status, said = checked(folder, make + verify)
    assert (status, said.partition("app: ")[2]) == (
        3,
        'the step could not query its tables: relation "gone" does not exist; an earlier step may change this',
    )
    assert checked(folder, "verify:\n  - postgres.explain: {service: app, query: SELECT 1}\n") == (0, "")


def test_a_database_that_an_earlier_step_may_create_is_no_problem(folder):
    verify = "verify:\n" + QUERY.replace("MORE", ", database: nowhere")
    status, said = checked(folder, verify)
    assert status == 3
    assert 'database "nowhere" does not exist' in said
    restore = "restore:\n  - command.run: {argv: ['true'], effect: write}\n    hosts: controller\n"
    assert checked(folder, restore + verify) == (0, "")


def test_a_server_that_does_not_answer_is_left_to_the_steps(folder, primary):
    path = folder.root / "inventory" / "lab.yml"
    path.write_text(path.read_text().replace(f"port: {primary.service.port}", "port: 1"))
    assert checked(folder, "verify:\n" + QUERY.replace("MORE", "")) == (0, "")
