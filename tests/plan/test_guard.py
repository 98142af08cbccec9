"""The guard: windows by the wall clock of a zone, limits of the plan, requirements of production, and the plan's digest."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.errors import InventoryError, SpecError
from drillbook.inventory import inventory, protection
from drillbook.plan import guard, planner, spec
from tests.plan.test_planner import HOSTS
from tests.plan.test_spec import GOOD

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)  # a Wednesday


def made(folder, rules="", drill=GOOD, hosts=HOSTS):
    (folder / "sample.yml").write_text(drill.replace("service: api\n", f"service: api\nguard: {rules or '{}'}\n", 1))
    (folder / "hosts.yml").write_text(hosts)
    return planner.make(spec.load(folder / "sample.yml"), inventory.load(folder / "hosts.yml"))


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_outside_its_windows_a_drill_is_refused_and_told_when(tmp_path):
    one = made(tmp_path, '{windows: [{days: [fri], from: "22:00", to: "04:00", zone: Asia/Shanghai}]}')
    assert guard.check(one, now=at("2026-11-20T15:00")) == []
    (refusal,) = guard.check(one, now=at("2026-11-27T12:30"))
    assert refusal.code == "guard-window"
    assert "the window opens Fri 2026-11-27 22:00 Asia/Shanghai, in 1 h 30 min" in refusal.measured
    assert refusal.wanted == "fri 22:00 to 04:00 Asia/Shanghai"
    for minutes in range(0, 7 * 24 * 60, 97):  # at any minute, the window is open, or its next opening is known
        now = at("2026-11-20T15:00") + timedelta(minutes=minutes)
        found = guard.check(one, now=now)
        assert bool(found) is not guard.is_open(one.guard.windows[0], now)


@pytest.mark.parametrize(
    ("environment", "production"),
    [
        ("production", True),
        ("prod", True),
        ("eu-prod-1", True),
        ("prod2", True),
        ("Production-EU", True),
        ("eu.prod", True),
        ("staging", False),
        ("lab", False),
        ("products", False),
        ("reproduction", False),
    ],
)
def test_what_counts_as_production(environment, production):
    assert protection.is_production(environment) is production


def test_a_drill_of_the_embedded_lab_may_run_in_the_docker_lab(tmp_path):
    hosts = HOSTS.replace("environment: lab", "environment: docker-lab\nlab: docker")
    assert guard.check(made(tmp_path, hosts=hosts), now=NOW, confirm="") == []
    (refusal,) = guard.check(made(tmp_path, "{environments: [staging]}", hosts=hosts), now=NOW, confirm=None)
    assert (refusal.code, refusal.measured) == ("guard-environment", "docker-lab")


@pytest.mark.parametrize("lab", ["", "lab: embedded\n"])
def test_the_name_of_the_docker_lab_is_not_enough(tmp_path, lab):
    """Real hosts in an environment of this name are neither permitted by `lab` nor unprotected."""
    hosts = lab + HOSTS.replace("environment: lab", "environment: docker-lab")
    with pytest.raises(InventoryError, match="need an approval") as refused:
        made(tmp_path, hosts=hosts)
    assert "write `lab: docker` instead" in refused.value.hint
    one = made(tmp_path, hosts=f"protected: yes\n{hosts}")
    codes = [found.code for found in guard.check(one, now=NOW, confirm="")]
    assert codes == ["guard-environment", "guard-confirm", "approval-missing"]
    (refusal,) = guard.check(made(tmp_path, hosts=f"protected: no\n{hosts}"), now=NOW)
    assert refusal.code == "guard-environment"
    named = made(tmp_path, "{environments: [docker-lab]}", hosts=f"protected: no\n{hosts}")
    assert guard.check(named, now=NOW) == []


def test_production_needs_confirmation_and_approval(tmp_path):
    one = made(tmp_path, "{environments: [production]}", hosts=HOSTS.replace("environment: lab", "environment: production"))
    codes = [found.code for found in guard.check(one, now=NOW, confirm="")]
    assert codes == ["guard-confirm", "approval-missing"]
    assert [found.code for found in guard.check(one, now=NOW, confirm="staging")] == codes
    assert [found.code for found in guard.check(one, now=NOW, confirm="production")] == ["approval-missing"]
    assert [found.code for found in guard.check(one, now=NOW)] == ["approval-missing"], "a dry run asks for no confirmation"


@pytest.mark.parametrize("environment", ["生产", "prd", "live", "Lab", "lab2", "stage", "x"])
def test_a_word_that_nobody_explained_is_refused_at_its_place(tmp_path, environment):
    """The name of an environment does not tell if drills there affect customers."""
    hosts = HOSTS.replace("environment: lab", f"environment: {environment}")
    with pytest.raises(InventoryError, match="need an approval") as refused:
        made(tmp_path, f"{{environments: [{environment}]}}", hosts=hosts)
    assert str(refused.value.where).endswith("hosts.yml:1:14")
    assert "`protected: yes`" in refused.value.hint
    codes = {}
    for said in ("yes", "no", "true", "false"):
        one = made(tmp_path, f"{{environments: [{environment}]}}", hosts=f"protected: {said}\n{hosts}")
        codes[said] = [found.code for found in guard.check(one, now=NOW, confirm="")]
    assert codes == {
        "yes": ["guard-confirm", "approval-missing"],
        "no": [],
        "true": ["guard-confirm", "approval-missing"],
        "false": [],
    }


@pytest.mark.parametrize(
    ("environment", "protected"),
    [("lab", False), ("dev", False), ("test", False), ("staging", False), ("production", True), ("prod-eu", True)],
)
def test_a_word_that_is_known_needs_no_explanation(tmp_path, environment, protected):
    hosts = HOSTS.replace("environment: lab", f"environment: {environment}")
    one = made(tmp_path, f"{{environments: [{environment}]}}", hosts=hosts)
    assert guard.needs_approval(one) is protected
    assert guard.needs_approval(made(tmp_path, hosts=f"protected: yes\n{hosts}"))


@pytest.mark.parametrize("environment", ["production", "Prod-2"])
def test_production_cannot_be_left_unprotected(tmp_path, environment):
    with pytest.raises(InventoryError, match="always protected") as refused:
        made(tmp_path, hosts="protected: no\n" + HOSTS.replace("environment: lab", f"environment: {environment}"))
    assert str(refused.value.where).endswith("hosts.yml:1:12")


def test_what_one_file_says_of_its_environment_is_not_said_of_another(tmp_path):
    """A base file for a sandbox does not turn the including inventory into a sandbox."""
    (tmp_path / "base.yml").write_text("environment: sandbox\nprotected: no\n")
    (tmp_path / "live.yml").write_text("include: base.yml\nenvironment: live\n")
    with pytest.raises(InventoryError, match="'live'") as refused:
        inventory.load(tmp_path / "live.yml")
    assert str(refused.value.where).endswith("live.yml:2:14")
    (tmp_path / "live.yml").write_text("include: base.yml\nenvironment: live\nprotected: no\n")
    assert not inventory.load(tmp_path / "live.yml").is_protected
    (tmp_path / "base.yml").write_text("environment: sandbox\nprotected: yes\n")
    (tmp_path / "live.yml").write_text("include: base.yml\nenvironment: lab\n")
    assert inventory.load(tmp_path / "live.yml").is_protected, "it only ever becomes stricter"


def test_a_guard_can_ask_for_an_approval_anywhere(tmp_path):
    assert guard.check(made(tmp_path), now=NOW, confirm="") == []
    one = made(tmp_path, "{approval: true}")
    assert [found.code for found in guard.check(one, now=NOW, confirm="")] == ["guard-confirm", "approval-missing"]


def test_every_reason_is_told_at_once(tmp_path):
    one = made(tmp_path, '{environments: [staging], approval: true, windows: [{from: "05:00", to: "06:00", zone: UTC}]}')
    found = guard.check(one, now=NOW, confirm="")
    assert [one.code for one in found] == ["guard-environment", "guard-window", "guard-confirm", "approval-missing"]
    text = guard.message(found)
    assert "lab" in text
    assert "in 1 h" in text
    assert all(one.remedy for one in found)


def test_a_forbidden_environment_is_told_with_those_that_are_permitted(tmp_path):
    (found,) = guard.check(made(tmp_path, "{environments: [staging, test]}"), now=NOW, instead="Do this: `x`.")
    assert guard.message([found]) == "the drill may run only in staging or test, not in lab"
    assert found.remedy == "Do this: `x`. If the drill is meant for lab, add lab to `guard.environments`."


def test_a_guard_without_environments_is_told_so(tmp_path):
    (found,) = guard.check(made(tmp_path, "{environments: []}"), now=NOW)
    assert guard.message([found]) == "the drill may run in no environment"


WATCHED = """{abort_if: [{http.available: {url: "http://127.0.0.1:8000/health"}, for: 5s}, %s], hosts: [db], lease: 10s}"""


def test_conditions_are_planned_and_their_hosts_are_needed(tmp_path):
    one = made(tmp_path, WATCHED % "{service.status: {service: api}, name: The API runs, every: 2s, tries: 5}")
    probe, status = one.guard.conditions
    assert (probe.id, probe.what, probe.every_s, probe.for_s, probe.tries) == ("guard.1", "http.available", 1.0, 5.0, 3)
    assert (status.title, status.step.hosts, status.every_s, status.tries) == ("The API runs", ("app-1",), 2.0, 5)
    assert one.guard.hosts == ("db-1", "db-2")
    assert one.guard.lease_s == 10
    assert {"db-1", "db-2"} <= set(one.hosts())
    assert planner.checked(one.model_dump(mode="json")) == one


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ('{windows: [{from: "22:00", to: "04:00", zone: Shanghai}]}', "did you mean 'Asia/Shanghai'?"),
        ('{windows: [{from: "22:00", to: "04:00", zone: Asia/Shangai}]}', "did you mean 'Asia/Shanghai'?"),
        ('{windows: [{from: "22:00", to: "04:00", zone: ../etc/passwd}]}', "no time zone '../etc/passwd'"),
        ('{windows: [{from: "22:00", to: "04:00", zone: ""}]}', "no time zone ''"),
        ('{windows: [{from: "24:00", to: "04:00", zone: UTC}]}', "'24:00' is not a time of day"),
        ('{windows: [{from: "9:00", to: "10:00", zone: UTC}]}', "'9:00' is not a time of day"),
        ('{windows: [{from: "09:00", to: "10:00"}]}', "zone' is missing"),
        ('{windows: [{days: [friday], from: "09:00", to: "10:00", zone: UTC}]}', "'fri'"),
        ('{windows: [{days: [], from: "09:00", to: "10:00", zone: UTC}]}', "at least 1 entry"),
        ("{lease: 4s}", "expected 5s to 1h"),
        ("{lease: 2h}", "expected 5s to 1h"),
        ("{max_hosts: 0}", "at least 1"),
        ("{max_percent: 101}", "at most 100"),
        ("{approval: perhaps}", "expected true or false"),
    ],
)
def test_broken_rules_are_told_at_their_line(tmp_path, rules, told):
    with pytest.raises(SpecError) as caught:
        made(tmp_path, rules)
    assert told in str(caught.value)
    assert caught.value.where.line == 4
