"""Limits of a run: from the keys in a drill to the fields and the sentences of the plan."""

from drillbook.plan.limits import Guard, PlannedCondition, PlannedGuard
from drillbook.plan.planned_step import PlannedProbe
from drillbook.plan.window import Window

PROBE = PlannedProbe(id="guard.1", name="http.available", params={"service": "api"}, line="a.yml:3")
CONDITION = PlannedCondition(id="guard.1", name="shop", probe=PROBE, every_s=0.5, for_s=10.0, tries=3)
WINDOW = Window.model_validate({"days": ["mon", "fri"], "from": "22:00", "to": "04:00", "zone": "Europe/Berlin"})


def planned(**keys):
    """The planned guard of these keys of a drill; a pattern of hosts selects itself and ``other``."""
    return PlannedGuard.of(Guard.model_validate(keys), (CONDITION,), lambda pattern, key: (key, str(pattern), "other"))


def test_every_key_of_a_guard_becomes_a_field_of_the_plan():
    guard = planned(windows=[WINDOW], max_hosts={"web": 2}, max_percent={"web": 50}, hosts="db", lease="1m", approval=True)
    assert guard == PlannedGuard(
        windows=(WINDOW,),
        max_hosts={"web": 2},
        max_percent={"web": 50},
        conditions=(CONDITION,),
        hosts=("hosts", "db", "other"),
        lease_s=60.0,
        approval=True,
    )
    elsewhere = {"environments", "abort_if"}  # fields of the plan itself, and its conditions
    assert {"lease_s" if key == "lease" else key for key in Guard.model_fields} - elsewhere == {
        *PlannedGuard.model_fields
    } - {"conditions"}


def test_hosts_are_looked_up_only_where_the_drill_names_some():
    assert planned().hosts == ()


def test_a_plan_says_each_limit_in_a_sentence():
    assert list(planned(windows=[WINDOW], max_hosts=2, max_percent={"web": 50}, hosts="db").sentences()) == [
        f"may begin {WINDOW}",
        "faults hit at most 2 of all hosts",
        "faults hit at most 50 % of the hosts of web",
        (
            "the run ends at once when this condition fails: shop: http.available (every 0.5 s; bad for 10 s, or 3 checks "
            "without an answer)"
        ),
        "the run ends at once when one of these hosts is unreachable twice in a row: hosts, db, other",
    ]


def test_a_guard_without_limits_says_nothing():
    assert list(PlannedGuard().sentences()) == []
