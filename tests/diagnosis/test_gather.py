"""Gathering facts: each check runs once, none outlasts the time limit, and every failure is reported."""

import threading
import time
from dataclasses import replace

import pytest

from drillbook.diagnosis.run import examine
from drillbook.errors import Cancelled, HostUnreachable
from tests.diagnosis.test_trees import DEAD, MEMINFO, QUERY, TREE, Site
from tests.diagnosis.test_trees import site as site


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


def test_an_error_that_nobody_foresaw_is_told(site):
    def named(name):
        raise HostUnreachable("no way there", host="app") if name == "app" else ZeroDivisionError("odd")

    found = examine(replace(site.ctx(), host_named=named), site.book, ("api", "worker"), 10.0)
    assert found.found == "unknown"
    assert any("no way there" in one for one in found.why)
    assert any("ZeroDivisionError: odd" in one for one in found.why)


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
