"""Plans: every refusal refers to its place in the file, and every key of a drill appears in the plan."""

from pathlib import Path

import pytest

import drillbook
from drillbook.errors import PlanError
from tests.plan.test_planner import HOSTS, made

HEAD = """\
drill: sample
title: A sample
description: What it is for
service: api
owner: dba
objectives: {rto: 5m, detect: 30s}
guard: GUARD
"""
STEPS = """\
probes:
  - http.available: {url: "{{ services.api.url }}", every: 100ms}
inject:
  - service.kill: {service: api}
restore:
  - service.start: {service: api}
verify:
  - http.responds: {url: "{{ services.api.url }}"}
"""
RUN = "command.run: {argv: [look], effect: read}\n    hosts: db-1"


def drill(steps=STEPS, guard="{}", **phases):
    """Drill with more phases, each given as the lines of its steps."""
    return HEAD.replace("GUARD", guard) + "".join(f"{name}:\n{text}" for name, text in phases.items()) + steps


def refused(tmp_path, text, hosts=HOSTS):
    """Message and hint of the refusal, and the text at its place in the file."""
    with pytest.raises(PlanError) as caught:
        made(tmp_path, text, hosts)
    where = caught.value.where
    assert where.file.endswith("sample.yml")
    return caught.value.message, caught.value.hint, text.splitlines()[where.line - 1][where.column - 1 :]


@pytest.mark.parametrize(
    ("old", "new", "message", "hint", "at"),
    [
        ("owner: dba", "owner: dbaa", "there is no contact 'dbaa'", "did you mean 'dba'? contacts: dba", "dbaa"),
        ("service: api\nowner", "service: apo\nowner", "there is no service 'apo'", "services: api, backups", "apo"),
        (
            "service.kill: {service: api}",
            "service.kill: {service: api}\n    allow_failure: never mind",
            "`allow_failure` is not allowed for a fault",
            "remove `allow_failure`",
            "allow_failure",
        ),
        (
            "service.start: {service: api}",
            "service.start: {service: \"{{ 'api' }}\"}\n    hosts: db-1",
            "the service that a step changes must be known before the run",
            "write the name of the service",
            "\"{{ 'api' }}\"",
        ),
        (
            "service.start: {service: api}",
            "redis.healthy: {service: api}",
            "'api' has the kind http",
            "suitable services: none",
            "api",
        ),
        (
            "service.start: {service: api}",
            'command.run: {argv: [x], effect: "{{ drill }}"}\n    hosts: db-1',
            "the effect of a step must be known before the run",
            "write `read`, `write` or `fault`",
            '"{{ drill }}"',
        ),
        (
            "service.start: {service: api}",
            "command.run: {argv: [x], effect: read}",
            "command.run needs `hosts`",
            "next to the action",
            "command.run",
        ),
        (
            "service.start: {service: api}",
            "command.run: {argv: [x], effect: read}\n    hosts: dbx",
            "there is no host or group 'dbx'",
            "did you mean 'db'",
            "dbx",
        ),
        (
            "service.start: {service: api}",
            "service.start: {service: api}\n    save: hosts",
            "the name 'hosts' is already used by Drillbook itself",
            "choose another name",
            "hosts",
        ),
        (
            "service.start: {service: api}",
            "service.start: {service: api}\n    save: result",
            "the name 'result' is already used by Drillbook itself",
            "choose another name",
            "result",
        ),
        (
            "service.start: {service: api}",
            'command.run: {argv: [x, ["{{ services.api.hosts }}"]], effect: read}\n    hosts: db-1',
            "",
            "",
            "",
        ),
        (
            "service.start: {service: api}",
            'command.run: {argv: [x, "{{ services.api.nothing }}"], effect: read}\n    hosts: db-1',
            "services.api has no 'nothing'",
            "its keys: ",
            '"{{ services.api.nothing }}"',
        ),
        (
            "service.start: {service: api}",
            'command.run: {argv: [x], effect: read}\n    hosts: db-1\n    expect: ["result.exit == 0", "later.x"]',
            "no step saves the name 'later'",
            "names known here: run, environment, drill, services, hosts, result",
            '["result',
        ),
        (
            "service.start: {service: api}",
            "command.run: {argv: [x], effect: read}\n    hosts: db-1\n    when: result.exit",
            "no step saves the name 'result'",
            "names known here: run, environment, drill, services, hosts",
            "result.exit",
        ),
        (
            'http.available: {url: "{{ services.api.url }}"',
            'http.available: {url: "{{ services.web.url }}"',
            "services has no 'web'",
            "its keys: api, backups",
            '"{{ services.web',
        ),
    ],
)
def test_what_does_not_fit_is_marked_where_it_stands(tmp_path, old, new, message, hint, at):
    text = drill()
    assert text.count(old) == 1
    if not message:
        return
    told, helps, marked = refused(tmp_path, text.replace(old, new))
    assert message in told
    assert hint in helps
    assert marked.startswith(at)


def test_limits_and_windows_stand_in_the_plan(tmp_path):
    window = '{from: "22:00", to: "04:00", zone: UTC}'
    one = made(
        tmp_path,
        drill(
            guard=f"{{max_hosts: {{db: 2}}, max_percent: {{all: 50}}, windows: [{window}], approval: true, "
            "environments: [lab, staging], lease: 12s, hosts: db-2}"
        ),
    ).guard
    assert (one.max_hosts, one.max_percent, one.approval, one.lease_s, one.hosts) == (
        {"db": 2},
        {"all": 50},
        True,
        12.0,
        ("db-2",),
    )
    assert [str(window.zone) for window in one.windows] == ["UTC"]
    assert made(tmp_path, drill(guard="{environments: [lab, staging]}")).environments == ("lab", "staging")
    assert made(tmp_path, drill()).guard.hosts == ()


def test_the_head_stands_in_the_plan(tmp_path):
    one = made(tmp_path, drill())
    assert (one.drill, one.title, one.description, one.service, one.owner) == (
        "sample",
        "A sample",
        "What it is for",
        "api",
        "dba",
    )
    assert one.objectives == {"rto": 300.0, "detect": 30.0}
    assert (one.inventory.environment, one.diagnosis) == ("lab", ())
    (probe,) = one.probes
    assert (probe.id, probe.name, probe.line) == ("probe.1", "http.available", "sample.yml:9")
    assert probe.params["url"] == "{{ services.api.url }}"


@pytest.mark.parametrize(
    ("words", "planned"),
    [
        (
            "",
            {
                "timeout_s": 60.0,
                "retries": 0,
                "every_s": None,
                "name": "",
                "save": None,
                "when": None,
                "expect": (),
                "allow_failure": None,
            },
        ),
        ("retries: 2", {"retries": 2, "every_s": 1.0, "timeout_s": 60.0}),
        ("retries: 2\n    every: 50ms\n    timeout: 9s", {"retries": 2, "every_s": 0.05, "timeout_s": 9.0}),
        ("every: 2s\n    timeout: 9s", {"retries": 0, "every_s": 2.0, "timeout_s": 9.0}),
        (
            "name: Look\n    save: seen\n    when: drill == 'x'\n    allow_failure: never mind",
            {"name": "Look", "save": "seen", "when": "drill == 'x'", "allow_failure": "never mind"},
        ),
        ("expect: result.exit == 0", {"expect": ("result.exit == 0",)}),
        ('expect: ["result.exit == 0", "result.stdout"]', {"expect": ("result.exit == 0", "result.stdout")}),
    ],
)
def test_every_word_of_a_step_stands_in_the_plan(tmp_path, words, planned):
    more = f"    {words}\n" if words else ""
    step = made(tmp_path, drill(backup=f"  - {RUN}\n{more}")).phase("backup")[0]
    found = step.model_dump()
    assert {key: found[key] for key in planned} == planned
    assert (step.id, step.action, step.phase, step.hosts, step.line) == (
        "backup.1",
        "command.run",
        "backup",
        ("db-1",),
        "sample.yml:9",
    )


def test_where_a_step_is_carried_out(tmp_path):
    one = made(
        tmp_path,
        drill(
            backup=f"  - {RUN}\n  - service.status: {{service: api}}\n    hosts: [db-2, app-1]\n"
            '  - http.responds: {url: "{{ services.api.url }}"}\n  - service.status: {service: api}\n'
        ),
    )
    assert [step.hosts for step in one.phase("backup")] == [("db-1",), ("app-1", "db-2"), ("controller",), ("app-1",)]


@pytest.mark.parametrize(
    ("look", "planned"),
    [
        ('http.available: {url: "{{ services.api.url }}"}', (1.0, 0.0, 3)),
        ('http.available: {url: "{{ services.api.url }}", every: 2s}', (2.0, 0.0, 3)),
        ('http.available: {url: "{{ services.api.url }}", every: 50ms}', (0.1, 0.0, 3)),
        ('http.available: {url: "{{ services.api.url }}", every: 2s}, every: 5s, for: 7s, tries: 9', (5.0, 7.0, 9)),
        ("service.status: {service: api}", (1.0, 0.0, 3)),
        ("service.status: {service: api}, every: 5s, for: 7s, tries: 9", (5.0, 7.0, 9)),
    ],
)
def test_how_often_a_condition_is_looked_at(tmp_path, look, planned):
    (one,) = made(tmp_path, drill(guard=f"{{abort_if: [{{{look}, name: It is up}}]}}")).guard.conditions
    assert (one.every_s, one.for_s, one.tries) == planned
    assert (one.id, one.title, bool(one.probe)) == ("guard.1", "It is up", "http.available" in look)
    if one.step:
        assert (one.step.phase, one.step.hosts) == ("guard", ("app-1",))


@pytest.mark.parametrize(
    ("look", "message", "at"),
    [
        ("service.start: {service: api}", "service.start makes changes, but a condition must be read-only", "service.start"),
        ("service.kill: {service: api}", "service.kill makes changes, but a condition must be read-only", "service.kill"),
        ("service.status: {service: apo}", "there is no service 'apo'", "apo"),
        ("redis.available: {service: apo}", "there is no service 'apo'", "apo"),
    ],
)
def test_a_condition_that_does_not_fit_is_marked_where_it_stands(tmp_path, look, message, at):
    told, _, marked = refused(tmp_path, drill(guard=f"{{abort_if: [{{{look}}}]}}"))
    assert message in told
    assert marked.startswith(at)


def test_only_the_trees_of_services_that_are_diagnosed_stand_in_the_plan(tmp_path):
    (tmp_path / "diagnosis").symlink_to(Path(drillbook.__file__).parent.parent.parent / "drills" / "diagnosis")
    assert made(tmp_path, drill(backup="  - service.status: {service: api}\n")).diagnosis == ()
    found = made(tmp_path, drill(diagnose="  - diagnosis.finds: {service: api, cause: healthy}\n"))
    assert found.diagnosis != ()
