"""Services that a plan or a diagnosis uses, and the plugins behind a plan."""

from dataclasses import replace

import pytest

from drillbook.diagnosis import trees
from drillbook.inventory import inventory
from drillbook.plan import needed_services
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from drillbook.sdk import discovery

SITE = """\
environment: lab
hosts: {h: {address: 192.0.2.1}}
services:
  app: {kind: process, host: h}
  cache: {kind: redis, host: h, password: !env A}
  db: {kind: postgres, host: h, database: d, user: d, admin: {user: a}, data_directory: /d}
  store: {kind: s3, host: h, endpoint: http://x, bucket: bucket-a, access_key: !env A, secret_key: !env B}
  web: {kind: http, host: h, url: http://x, needs: [db]}
  way: {kind: relay, host: h, port: 1, to: db}
"""
HEAD = "drill: sample\ntitle: A sample\nservice: app\n"
TREE = """\
tree: unit
title: A unit
kind: process
checks:
  unit: {service.status: {service: "{{ service.name }}"}}
  CHECK
healthy: [unit.ok]
causes:
  down:
    title: it does not run
    class: unavailable
    for: [{when: not unit.ok, weight: 3, says: its unit is down}]
    remedy: {text: start it}
"""


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "lab.yml"
    path.write_text(SITE)
    return inventory.load(path)


def planned(folder, site, steps):
    path = folder / "sample.yml"
    path.write_text(HEAD + steps)
    return make(load(path), site)


def tree(folder, check):
    path = folder / "unit.yml"
    path.write_text(TREE.replace("CHECK", check))
    return trees.load(path)


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("verify:\n  - redis.healthy: {service: cache}\n", {"app", "cache"}),
        ("verify:\n  - s3.get: {uri: 's3://bucket-a/x'}\n", {"app", "store"}),
        ("verify:\n  - s3.get: {uri: 's3://{{ services.store.bucket }}/x'}\n", {"app", "store"}),
        ("verify:\n  - postgres.newest_backup: {service: db, store: store}\n", {"app", "db", "store"}),
        ("verify:\n  - tcp.open: {address: x, port: \"{{ services['cache'].port }}\"}\n", {"app", "cache"}),
        (
            'verify:\n  - tcp.open: {address: x, port: "{{ services[drill].port }}"}\n',
            {"app", "cache", "db", "store", "web", "way"},
        ),
        ("verify:\n  - tcp.open: {address: x, port: 1}\n    when: services.cache.port == 1\n", {"app", "cache"}),
        ("probes:\n  - redis.available: {service: cache}\nverify:\n  - tcp.open: {address: x, port: 1}\n", {"app", "cache"}),
        (
            "guard:\n  abort_if:\n    - redis.healthy: {service: cache}\nverify:\n  - tcp.open: {address: x, port: 1}\n",
            {"app", "cache"},
        ),
        ("verify:\n  - relay.status: {service: way}\n", {"app", "way", "db"}),
        ("verify:\n  - http.slowest: {service: web}\n", {"app", "web", "db"}),
    ],
    ids=range(11),
)
def test_services_that_a_plan_works_with(tmp_path, site, steps, found):
    assert needed_services.of_plan(planned(tmp_path, site, steps)) == found


@pytest.mark.parametrize(
    ("check", "found"),
    [
        ('more: {host.memory: {service: "{{ service.name }}"}}', set()),
        ("more: {redis.healthy: {service: cache}}", {"cache"}),
        ('more: {redis.healthy: {service: "{{ the.redis.name }}"}, needs: [redis]}', {"cache"}),
        ('more: {host.memory: {service: "{{ service.name }}"}, needs: [redis], when: the.redis.port == 1}', {"cache"}),
        ("more: {host.memory: {service: \"{{ the['relay'].name }}\"}, needs: [relay]}", {"way", "db"}),
    ],
    ids=["its-own-service", "a-name", "a-kind", "a-kind-in-a-condition", "a-relay-with-its-target"],
)
def test_a_diagnosis_uses_the_services_that_the_checks_of_its_trees_name(tmp_path, site, check, found):
    one = tree(tmp_path, check)
    assert needed_services.of_trees([one], site, ["app"]) == {"app"} | found
    assert needed_services.of_trees([one], site, ["web", "nowhere"]) == {"web", "db"} | found, (
        "with the services that it needs"
    )


def test_the_drill_of_a_diagnosis_uses_the_services_around_the_examined_one(tmp_path, site):
    steps = "verify:\n  - http.slowest: {service: web}\n"
    plan = planned(tmp_path, site, steps)
    assert needed_services.of_plan(plan) == {"app", "web", "db"}
    one = tree(tmp_path, "more: {redis.healthy: {service: cache}}")
    examined = plan.model_copy(update={"diagnosis": (one,)})
    assert needed_services.of_plan(examined) == {"app", "web", "db", "way", "cache"}, (
        "the relay on the host of web leads to db"
    )


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("verify:\n  - redis.healthy: {service: cache}\n", True),
        ("verify:\n  - tcp.open: {address: x, port: 1}\n", False),
        ("probes:\n  - redis.available: {service: cache}\nverify:\n  - tcp.open: {address: x, port: 1}\n", True),
        ("guard:\n  abort_if:\n    - redis.healthy: {service: cache}\nverify:\n  - tcp.open: {address: x, port: 1}\n", True),
    ],
    ids=["step", "none", "probe", "condition"],
)
def test_plugins_of_a_plan_are_those_of_its_steps_probes_and_conditions(tmp_path, monkeypatch, site, steps, found):
    shown = [
        replace(one, origin="drillbook-redis", version="1.2", services={}) if one.name == "redis" else one
        for one in discovery.systems()
    ]
    plan = planned(tmp_path, site, steps)
    monkeypatch.setattr(discovery, "systems", lambda: shown)
    assert needed_services.plugins(plan.steps, plan.probes, plan.guard, plan.inventory) == (
        {"drillbook-redis": "1.2"} if found else {}
    )


def test_the_plugin_of_a_kind_of_service_belongs_to_each_plan_on_the_inventory(tmp_path, monkeypatch, site):
    shown = [
        replace(one, origin="drillbook-redis", version="1.2") if one.name == "redis" else one for one in discovery.systems()
    ]
    plan = planned(tmp_path, site, "verify:\n  - tcp.open: {address: x, port: 1}\n")
    monkeypatch.setattr(discovery, "systems", lambda: shown)
    assert needed_services.plugins(plan.steps, plan.probes, plan.guard, plan.inventory) == {"drillbook-redis": "1.2"}
