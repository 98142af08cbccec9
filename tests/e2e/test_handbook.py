"""Drills of the handbook: they pass, and without their remedy they do not, and leave the lab well."""

import contextlib
import os
import re
import shutil
import time

import pytest

from drillbook.errors import PlanError
from drillbook.plan import make
from drillbook.result import Verdict
from drillbook.spec import load
from drillbook.web import ask
from tests.needs import need

pytestmark = pytest.mark.long(12)

NAMES = ["port-taken", "env-missing", "dependency-down", "connections-exhausted", "slow-query", "idle-in-transaction",
         "memory-leak", "api-slow"]
RESTORED = ["data-orphans", "database-lost", "full-drill"]
"""Their fault is mended by nothing but a restore."""
SAMPLE = ["env-missing", "connections-exhausted", "slow-query", "memory-leak", "data-orphans", "database-lost"]
"""Those whose passing CI tries here too; `invoke test --all` tries all, and the Docker lab's tests run the whole suite."""
ELSEWHERE = ["api-down", "network-cut"]
"""That they pass is tried where their controller dies, in tests/matrix; `vectors-diverged` is tried in test_vectors.py."""
ALERTED = ["dependency-down", "connections-exhausted"]
"""They wait for the alert of the lab's Prometheus."""


def planned(bench, name, change=lambda text: text):
    if name in ALERTED:
        need("prometheus")
        need("prometheus-alertmanager")
    path = bench.changed(name)
    shutil.copy(bench.project.drill_names()[name], path)
    path.write_text(change(path.read_text()))
    return make(load(path), bench.inventory)


def well(bench):
    """Wait until the API and all that it needs serve: it takes seconds to listen after it was started."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            answer = ask(f"{bench.value('api.url')}/health", timeout=5)
            if answer.status == 200 and b'"status":"ok"' in answer.body:
                return
        assert time.monotonic() < end, "the lab is not well"
        time.sleep(0.2)


def without_remedy(text):
    """The drill without its restore phase, and with less patience for what then never comes."""
    changed = re.sub(r"\nrestore:\n(?:[ \n].*\n|\n)*?(?=verify:)", "\n", text)
    assert changed != text
    before, _, verify = changed.partition("verify:")
    return f"{before}verify:" + verify.replace("timeout: 20s", "timeout: 2s").replace("within: 2m", "within: 2s")


@pytest.mark.parametrize("name", NAMES + RESTORED if os.environ.get("DRILLBOOK_MATRIX") == "all" else SAMPLE)
def test_it_passes(bench, name):
    well(bench)
    _, view = bench.run(planned(bench, name))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, [(one.title, one.measured) for one in view.result.findings])
    assert view.result.residue == ()


@pytest.mark.parametrize("name", NAMES + ELSEWHERE)
def test_without_its_remedy_it_does_not_pass_and_leaves_the_lab_well(bench, name):
    well(bench)
    _, view = bench.run(planned(bench, name, without_remedy))
    assert view.result.exit in (1, 3), view.result.reason
    assert all(step.status == "done" for step in view.result.steps if step.id.startswith("inject")), "it was broken as meant"
    assert view.result.residue == ()
    well(bench)


@pytest.mark.parametrize("name", [*RESTORED, "cache-lost"])
def test_without_its_remedy_nothing_is_even_planned(bench, name):
    with pytest.raises(PlanError, match="no restore phase"):
        planned(bench, name, without_remedy)
