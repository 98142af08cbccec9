"""Drills of the handbook pass. test_remedies.py shows that they fail without any single step of their remedies."""

import contextlib
import shutil
import time

import pytest

from drillbook.judge.result import Verdict
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from drillbook.sdk.web import ask
from tests import tiers
from tests.needs import need

pytestmark = pytest.mark.long(12)

NAMES = [
    "port-taken",
    "env-missing",
    "dependency-down",
    "connections-exhausted",
    "slow-query",
    "idle-in-transaction",
    "memory-leak",
    "api-slow",
    "data-orphans",
    "database-lost",
    "full-drill",
]
"""Drills that other tests cover: `api-down`, `network-cut` and `cache-lost` in tests/matrix, `vectors-diverged` in
test_vectors.py.
"""
SAMPLE = NAMES if tiers.CI else tiers.drawn(NAMES, 3, "handbook on the embedded lab")
"""Drills of which the passing run is tested. In CI each has its turn, see ``tests.turns``; `invoke test --all` tests all."""
ALERTED = ["dependency-down", "connections-exhausted"]
"""Drills that wait for an alert of the lab's Prometheus."""


def planned(bench, name):
    if name in ALERTED:
        need("prometheus")
        need("prometheus-alertmanager")
    path = bench.changed(name)
    shutil.copy(bench.project.drill_names()[name], path)
    return make(load(path), bench.inventory)


def well(bench):
    """Wait until the API and all its dependencies are healthy, which takes seconds after a start."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            answer = ask(f"{bench.value('api.url')}/health", timeout=5)
            if answer.status == 200 and b'"status":"ok"' in answer.body:
                return
        assert time.monotonic() < end, "the lab is not well"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "name", [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.nightly) for name in NAMES]
)
def test_it_passes(bench, name):
    well(bench)
    _, view = bench.run(planned(bench, name))
    assert view.result.verdict is Verdict.PASSED, (
        view.result.reason,
        [(one.title, one.measured) for one in view.result.findings],
    )
    assert view.result.residue == ()


def test_a_missing_index_is_detected_however_quick_the_machine_is(bench):
    """On a very fast machine, no user waits for a read of the table, so that all answers stay in time."""
    well(bench)
    _, view = bench.run(
        bench.plan(
            "slow-query",
            ("every: 500ms, timeout: 2s}", "every: 500ms, timeout: 14s}"),
            ('duplicates?limit=500", every', 'duplicates?limit=1", every'),
        )
    )
    assert view.result.verdict is Verdict.PASSED, (
        view.result.reason,
        [(one.title, one.measured) for one in view.result.findings],
    )
    assert [track.bad for track in view.timeline.probes if track.name == "http.available"] == [0]
    assert view.result.objectives["detect"].met is True
