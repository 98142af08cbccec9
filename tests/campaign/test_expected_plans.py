"""Plans that a campaign made for a site, compared with those of the process that drills the site."""

import os
from dataclasses import replace

import pytest

from drillbook import __version__
from drillbook.campaign.expected_plans import SITE_VARIABLE, Expected, expected
from drillbook.errors import UsageError
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from tests.plan.test_planner import HOSTS
from tests.plan.test_spec import GOOD


def test_the_process_of_a_drill_compares_plan_and_version(root):
    (root / "sample.yml").write_text(GOOD)
    (root / "hosts.yml").write_text(HOSTS)
    plan = planner.make(spec.load(root / "sample.yml"), inventory.load(root / "hosts.yml"))
    other = "sha256:" + "0" * 64
    same = Expected("s0", {plan.drill: plan.digest}, __version__)
    assert same.differences([plan], root) == []
    assert Expected("s0").differences([plan], root) == [], "campaigns of older versions recorded no plans"
    assert Expected.of(same.as_text()) == same
    for changed in (
        replace(same, plans={plan.drill: other}),
        replace(same, plans={"x": other}),
        replace(same, version="0.1"),
    ):
        (found,) = changed.differences([plan], root)
        assert found.code == "campaign-plan-differs"
        assert plan.digest in found.measured
        assert changed.plans.get(plan.drill, "has no plan of the drill") in found.measured
        assert found.remedy
    with pytest.raises(UsageError, match="must be set by a campaign only"):
        Expected.of("s0")


def test_the_plan_of_a_run_is_compared_by_its_digest(root):
    (root / "sample.yml").write_text(GOOD)
    (root / "hosts.yml").write_text(HOSTS)
    plan = planner.make(spec.load(root / "sample.yml"), inventory.load(root / "hosts.yml"))
    recorded = plan.model_dump(mode="json")
    assert Expected("s0", {plan.drill: plan.digest}).differing([recorded]) == ""
    assert Expected("s0").differing([recorded]) == "", "campaigns of older versions recorded no plans"
    assert Expected("s0", {plan.drill: "sha256:x"}).differing([recorded]) == (
        f"the run carried out the plan {plan.digest} of {plan.drill}, but the campaign has the plan sha256:x for the site s0"
    )
    assert "but the campaign has no such drill for the site s0" in Expected("s0", {"x": "y"}).differing([recorded])


def test_the_process_takes_its_site_from_the_environment_once(monkeypatch):
    monkeypatch.setenv(SITE_VARIABLE, Expected("s0", {"d": "sha256:x"}).as_text())
    expected.cache_clear()
    try:
        assert expected() == expected() == Expected("s0", {"d": "sha256:x"})
        assert SITE_VARIABLE not in os.environ, "it is not for the programs that a drill starts"
        expected.cache_clear()
        assert expected() is None
    finally:
        expected.cache_clear()
