"""Trees: valid content, ranking of causes, and conditions for calling something healthy. No lab; hosts are fakes."""

import io
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from drillbook.cli import show_diagnosis
from drillbook.diagnosis import scope, trees
from drillbook.diagnosis.run import Book, examine
from drillbook.errors import Cancelled, HostUnreachable, PlanError, SpecError
from drillbook.hosts.fake import FakeHost, Reply
from drillbook.inventory.inventory import Contact, load
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


def test_healthy_when_every_check_was_made_and_says_so(site):
    found = site.look()
    assert (found.found, found.ranked, found.why) == ("healthy", (), ())
    assert found.examined == ("api", "worker")
    assert {check.check: check.status for check in found.checks} == {"unit": "made", "memory": "left out"}


def test_the_likeliest_cause_comes_first_with_what_was_seen(site):
    site.unit("app", DEAD)
    site.hosts["app"].on(("cat", "/proc/meminfo"), MEMINFO.format(free=20))
    site.hosts["app"].on(("sh",), "")
    found = site.look("api")
    assert [(one.cause, one.score) for one in found.ranked] == [("memory-leak", 9), ("api-down", 3)]
    first, second = found.ranked
    assert first.supports[0].says == "98.0 % are used"
    assert first.remedy == "{{ unit.word }} after {{ memory.nothing }}", "what cannot be evaluated is said as written"
    assert second.title == "api does not run"
    assert second.step == {"service.start": {"service": "api"}}


def test_what_speaks_against_a_cause_counts(site):
    site.unit("app", "LoadState=loaded\nActiveState=failed\nSubState=failed\nMainPID=0\n")
    site.hosts["app"].on(("cat", "/proc/meminfo"), MEMINFO.format(free=900))
    site.hosts["app"].on(("sh",), "")
    found = site.look("api")
    assert [(one.cause, one.score, [seen.says for seen in one.against]) for one in found.ranked] == [
        ("api-down", 2, ["it has failed"])
    ]


def test_a_host_that_cannot_be_asked_is_never_healthy(site):
    site.hosts["db"].unreachable = True
    found = site.look()
    assert (found.found, found.ranked) == ("unknown", ())
    assert any("worker: its unit could not be examined" in one for one in found.why)


def test_a_cause_that_was_found_is_told_beside_what_is_not_known(site):
    site.hosts["db"].unreachable = True
    site.unit("app", DEAD)
    assert site.look().found == "api-down"


def test_wrong_without_a_cause_is_unknown(tmp_path):
    made = Site(tmp_path, TREE.replace("weight: 3", "weight: 1").replace("'failed'\", weight: 1", "'stopped'\", weight: 1"))
    made.unit("app", DEAD)
    found = made.look("api")
    assert (found.found, found.ranked) == ("unknown", ())
    assert "api: not true: unit.ok; its unit: api is inactive (dead), not running" in found.why


def test_nothing_looked_at_is_not_healthy(tmp_path):
    made = Site(tmp_path, TREE.replace("name: its unit}", "name: its unit, needs: [postgres]}"))
    found = made.look("api")
    assert found.found == "unknown"
    assert found.why == ("api: no check shows that this service is healthy",)


def test_no_service_at_all_is_not_healthy(site):
    found = examine(site.ctx(), site.book, (), 20.0)
    assert (found.found, found.why) == ("unknown", ("the inventory has no service that can be examined",))


def test_what_depends_on_a_check_that_failed_says_why_that_one_did(tmp_path):
    made = Site(
        tmp_path,
        TREE.replace("when: not unit.ok}", "name: its rows}").replace(
            'memory: {host.memory: {service: "{{ service.name }}"}', 'memory: {host.memory: {service: "{{ unit.rows }}"}'
        ),
    )
    made.unit("app", DEAD)
    made.hosts["app"].on(("cat", "/proc/meminfo"), MEMINFO.format(free=900))
    (doubt,) = [one for one in made.look("api").why if "its rows" in one]
    assert doubt.startswith("api: its rows could not be examined: unit failed: api is inactive (dead)")


def test_what_a_target_says_never_becomes_an_expression(site):
    text = TREE.replace(
        'step: {service.start: {service: "{{ service.name }}"}}', 'step: {service.start: {service: "{{ unit.word }}"}}'
    )
    made = Site(site.folder, text)
    made.unit("app", "LoadState=loaded\nActiveState=inactive\nSubState={{ 7 * 7 }}\nMainPID=0\n")
    one = next(one for one in made.look("api").ranked if one.cause == "api-down")
    assert "49" not in one.supports[0].says
    assert "{{ 7 * 7 }}" in one.supports[0].says
    assert one.step is None, "a remedy whose values could be expressions is refused"


def test_secrets_are_hidden(site):
    site.unit("app", Reply(exit=1, stderr=b"denied for hunter2-hunter2"))
    text = site.look("api").model_dump_json()
    assert "***" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("hangs", ["command", "connection"])
def test_the_deadline_holds_whatever_hangs(site, hangs):
    """The command ignores its deadline, or the connection never opens; all other results are still reported."""
    forever = threading.Event()
    if hangs == "command":
        site.hosts["db"].on(QUERY, lambda call: str(forever.wait(600)))
    ctx = site.ctx()
    if hangs == "connection":

        def named(name):
            if name == "db":
                forever.wait(600)
            return site.hosts[name]

        ctx = replace(ctx, host_named=named)
    site.unit("app", DEAD)
    begun = time.monotonic()
    found = examine(ctx, site.book, ("api", "worker"), 1.0)
    took = time.monotonic() - begun
    forever.set()
    assert took < 600, "it ended while something was still hanging"
    assert found.found == "api-down"
    assert any(check.subject == "worker" and "no answer within" in check.message for check in found.checks)


def test_a_stop_ends_it(site):
    ctx = site.ctx()
    ctx.deadline.cancel.set()
    with pytest.raises(Cancelled):
        examine(ctx, site.book, ("api",), 20.0)


def test_one_question_is_asked_once(tmp_path):
    made = Site(tmp_path, TREE.replace("  memory:", '  again: {service.status: {service: "{{ service.name }}"}}\n  memory:'))
    found = made.look("api")
    assert found.found == "healthy"
    assert [call.argv[:3] for call in made.hosts["app"].calls].count(QUERY) == 1
    assert [check.status for check in found.checks if check.check in ("unit", "again")] == ["made", "made"]


def test_a_service_that_is_not_there(site):
    with pytest.raises(PlanError, match="did you mean"):
        scope.around(site.inventory.services, "apy")


def test_an_error_that_nobody_foresaw_is_told(site):
    def named(name):
        raise HostUnreachable("no way there", host="app") if name == "app" else ZeroDivisionError("odd")

    found = examine(replace(site.ctx(), host_named=named), site.book, ("api", "worker"), 10.0)
    assert found.found == "unknown"
    assert any("no way there" in one for one in found.why)
    assert any("ZeroDivisionError: odd" in one for one in found.why)


@pytest.mark.parametrize(("call", "shown"), [("", ["oncall: on duty", "dba: DBA"]), ("dba, nobody", ["call: dba: DBA"])])
def test_contacts_of_the_remedy_come_instead_of_all(tmp_path, call, shown):
    made = Site(tmp_path, TREE.replace("remedy: {text: start it,", f"remedy: {{text: start it, contacts: [{call}],"))
    contacts = {"oncall": Contact(role="on duty"), "dba": Contact(role="DBA")}
    made.inventory = made.inventory.model_copy(update={"contacts": contacts})
    made.book = Book(made.book.trees, made.inventory)
    made.unit("app", DEAD)
    found = made.look("api")
    assert found.ranked[0].contacts == (("dba",) if call else ()), "whom the inventory does not have is left out"
    lines = [one.strip() for one in told(found, made.inventory).splitlines()]
    assert [one for one in lines if one in ("oncall: on duty", "dba: DBA", "call: dba: DBA")] == shown


def told(found, inventory, *, verbose=False):
    out = io.StringIO()
    show_diagnosis.show(found, inventory, Console(file=out, width=200, color_system=None), verbose=verbose)
    return out.getvalue()


def test_healthy_names_what_it_does_not_rest_on(site, tmp_path):
    found = site.look("api")
    said = told(found, site.inventory)
    assert "every check ran" not in said
    assert "skipped, not needed: 1 check; --verbose names them" in said
    assert "memory of api" not in said
    assert "skipped, not needed: memory of api" in told(found, site.inventory, verbose=True)
    without = Site(
        tmp_path,
        TREE.replace('  memory: {host.memory: {service: "{{ service.name }}"}, when: not unit.ok}\n', "")
        .replace("memory.used_percent > 90", "unit.ok is none")
        .replace("{{ memory.used_percent }}", "")
        .replace("{{ memory.nothing }}", ""),
    )
    assert "every check ran, and none" in told(without.look("api"), without.inventory)


def test_a_stop_does_not_wait_for_what_hangs(tmp_path):
    site = Site(tmp_path, TREE.replace("name: its unit}", "name: its unit, timeout: 600s}"))
    forever, ctx = threading.Event(), site.ctx(600.0)
    site.hosts["app"].on(QUERY, lambda call: (ctx.deadline.cancel.set(), str(forever.wait(600)))[1])
    begun = time.monotonic()
    try:
        with pytest.raises(Cancelled):
            examine(ctx, site.book, ("api",), 600.0)
    finally:
        forever.set()
    assert time.monotonic() - begun < 600, "it ended while the check was still hanging"


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
