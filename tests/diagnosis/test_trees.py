"""Trees: valid content, ranking of causes, and conditions for calling something healthy. No lab; hosts are fakes."""

from pathlib import Path

import pytest

from drillbook.diagnosis import scope, trees
from drillbook.diagnosis.run import Book, examine
from drillbook.errors import PlanError, SpecError
from drillbook.hosts.fake import FakeHost
from drillbook.inventory.inventory import load
from drillbook.redact import Redactor
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, ManagerConfig
from drillbook.sdk.manager.systemd import Systemd

ROOT = Path(__file__).parents[2]
QUERY = Systemd(ManagerConfig()).query("a unit")[:3]
SITE = """
environment: lab
hosts:
  app: {address: 127.0.0.1}
  db: {address: 127.0.0.1}
services:
  api: {kind: process, host: app, unit: api}
  worker: {kind: process, host: db, unit: worker}
  idle: {kind: process, host: db, unit: idle, standby: true}
"""
TREE = """
tree: unit
title: A unit
kind: process
checks:
  unit: {service.status: {service: "{{ service.name }}"}, name: its unit}
  memory: {host.memory: {service: "{{ service.name }}"}, when: not unit.ok}
healthy: [unit.ok]
causes:
  api-down:
    title: "{{ service.name }} does not run"
    class: unavailable
    for: [{when: not unit.ok, weight: 3, says: "its unit is {{ unit.word }}"}]
    against: [{when: "unit.state == 'failed'", weight: 1, says: it has failed}]
    remedy: {text: start it, step: {service.start: {service: "{{ service.name }}"}}}
  memory-leak:
    title: memory is used up
    class: degraded
    for: [{when: memory.used_percent > 90, weight: 9, says: "{{ memory.used_percent }} % are used"}]
    remedy: {text: "{{ unit.word }} after {{ memory.nothing }}"}
"""
RUNNING = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=7\n"
DEAD = "LoadState=loaded\nActiveState=inactive\nSubState=dead\nMainPID=0\n"
MEMINFO = "MemTotal: 1000 kB\nMemAvailable: {free} kB\n"


def tree(folder, text=TREE):
    (folder / "unit.yml").write_text(text)
    return trees.load(folder / "unit.yml")


def wrong(folder, old, new):
    assert old in TREE
    with pytest.raises(SpecError) as told:
        tree(folder, TREE.replace(old, new, 1))
    assert told.value.where.line > 1
    return str(told.value)


class Site:
    """Fake hosts with the given facts."""

    def __init__(self, folder, text=TREE):
        (folder / "site.yml").write_text(SITE)
        self.inventory = load(folder / "site.yml")
        self.book = Book((tree(folder, text),), self.inventory)
        self.hosts = {name: FakeHost(name, target=self.inventory.target(name)) for name in ("app", "db", "controller")}
        self.folder = folder
        self.unit("app", RUNNING)
        self.unit("db", RUNNING)

    def unit(self, host, answer):
        self.hosts[host].on(QUERY, answer)

    def ctx(self, seconds=30.0):
        return Context(
            run_id="r",
            step="diagnose",
            host=self.hosts["controller"],
            services=self.inventory.services,
            host_named=self.hosts.__getitem__,
            deadline=Deadline.after(seconds),
            folder=self.folder,
            redactor=Redactor(["hunter2-hunter2"]),
        )

    def look(self, *names, within=20.0):
        return examine(self.ctx(), self.book, names or scope.everything(self.inventory.services), within)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_shipped_trees_are_sound():
    found = trees.load_all(ROOT / "drills" / trees.FOLDER)
    assert len(found) >= 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("service.status: {", "service.stop: {", "must be read-only"),
        ("service.status: {", "command.run: {effect: read, ", "must be read-only"),
        ("service.status: {", "process.allocations: {by: memray, ", "must be read-only"),
        ("service.status: {", "process.allocations: {by: '{{ service.kind }}', ", "must be read-only"),
        ("service.status: {", "service.statu: {", "there is no action"),
        ("kind: process", "kind: postgrez", "there is no kind"),
        ("not unit.ok, weight", "not unitt.ok, weight", "did you mean"),
        ("{{ unit.word }} after", "{{ unit.word ", "not an expression"),
        ("when: not unit.ok}", "when: not cpu.ok}", "the name 'cpu' is not defined"),
        ("  unit: {service", "  service: {service", "is not a valid name of a check"),
        ("class: degraded", "class: slow", "unavailable"),
        ("weight: 3", "weight: 11", "10"),
        ("service.start:", "service.begin:", "there is no action"),
        ("tree: unit", "tree: other", "its file"),
        ("healthy: [unit.ok]", "healthy: [peer.ok]", "the name 'peer' is not defined"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path, old, new, said):
    assert said in wrong(tmp_path, old, new)


def test_a_check_sees_only_those_above_it(tmp_path):
    assert "only checks above it" in wrong(tmp_path, '"{{ service.name }}"}, name', '"{{ memory.x }}"}, name')


def test_a_service_that_is_not_there(site):
    with pytest.raises(PlanError, match="did you mean"):
        scope.around(site.inventory.services, "apy")


def test_all_mistakes_of_a_tree_are_reported_at_once(tmp_path):
    text = TREE.replace("tree: unit", "tree: unti").replace("title: A unit", "title: A unit\ntitle: Another", 1)
    text = text.replace("kind: process", "kind: proc", 1).replace("name: its unit", "nme: its unit, needs: [postgrs]")
    text = text.replace("healthy: [unit.ok]", "healthy: [unt.ok]").replace("{{ unit.word }}", "{{ other.word }}")
    text = text.replace("step: {service.start:", "step: {service.strt:")
    with pytest.raises(SpecError) as caught:
        tree(tmp_path, text)
    assert [error.message for error in (caught.value, *caught.value.others)] == [
        "the key 'title' occurs twice, first in line 3",
        "unknown keyword 'nme'",
        "there is no kind of service 'postgrs'",
        "the tree is named 'unti', but its file is named 'unit.yml'",
        "there is no kind of service 'proc'",
        "there is no action 'service.strt'",
        "the name 'unt' is not defined",
        "the name 'other' is not defined",
        "the name 'other' is not defined",
    ]
    with pytest.raises(SpecError) as caught:
        tree(tmp_path, text.replace("kind: proc", "kin: process", 1))
    told = [error.message for error in (caught.value, *caught.value.others)]
    assert told[:2] == ["the key 'title' occurs twice, first in line 3", "unknown key 'kin'"]
    assert "unknown keyword 'nme'" in told
