"""The guard: windows by the wall clock of a zone, limits of the plan, requirements of production, and the plan's digest."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillbook.errors import InventoryError, PlanError, SpecError
from drillbook.inventory import inventory, protection
from drillbook.plan import guard, planner, spec
from drillbook.plan.plan import digest_of, faulted
from drillbook.plan.window import DAYS, HORIZON_DAYS, MINUTE, Window
from drillbook.sdk.identity import LockName
from tests.plan.test_planner import HOSTS
from tests.plan.test_spec import GOOD

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)  # a Wednesday


def made(folder, rules="", drill=GOOD, hosts=HOSTS):
    (folder / "sample.yml").write_text(drill.replace("service: api\n", f"service: api\nguard: {rules or '{}'}\n", 1))
    (folder / "hosts.yml").write_text(hosts)
    return planner.make(spec.load(folder / "sample.yml"), inventory.load(folder / "hosts.yml"))


def window(text):
    days, start, _, end, zone = text.split()
    return Window.model_validate({"days": days.split(","), "from": start, "to": end, "zone": zone})


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("text", "now", "open_"),
    [
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T13:59:59", False),
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T14:00", True),
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T19:59:59", True),  # Saturday there, in Friday's window
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T20:00", False),
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-21T14:00", False),
        ("fri 09:00 to 24:00 UTC", "2026-11-20T23:59:59", True),
        ("fri 09:00 to 24:00 UTC", "2026-11-21T00:00", False),
        ("sat,sun 10:00 to 10:00 UTC", "2026-11-23T09:59", True),  # equal times: a whole day
        ("sat,sun 10:00 to 10:00 UTC", "2026-11-23T10:00", False),
        # New York, 2026-03-08: 01:59 EST is followed by 03:00 EDT
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T05:59", False),
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T06:00", True),
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T07:59", True),
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T08:00", False),  # two hours long on that day
        ("sun 02:10 to 02:50 America/New_York", "2026-03-08T07:00", False),
        # New York, 2026-11-01: 01:59 EDT is followed by 01:00 EST
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T05:30", True),
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T06:00", False),
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T06:30", True),
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T07:00", False),
    ],
)
def test_a_window_is_open_by_the_wall_clock(text, now, open_):
    assert guard.is_open(window(text), at(now)) is open_


@pytest.mark.parametrize(
    ("texts", "now", "opens"),
    [
        (["fri 22:00 to 04:00 Asia/Shanghai"], "2026-11-20T20:00", "2026-11-27T14:00"),
        (["fri 22:00 to 04:00 Asia/Shanghai", "tue 01:00 to 02:00 UTC"], "2026-11-20T20:00", "2026-11-24T01:00"),
        (["sun 02:10 to 02:50 America/New_York"], "2026-03-07T12:00", "2026-03-15T06:10"),  # skipped on the 8th
        (["sun 02:30 to 04:00 America/New_York"], "2026-03-07T12:00", "2026-03-08T07:00"),  # opens when the gap is over
        (["sun 02:00 to 04:00 America/New_York"], "2026-11-01T05:30", "2026-11-01T07:00"),  # at 02:00 EST, not before
    ],
)
def test_when_the_next_window_opens(texts, now, opens):
    found = guard.next_opening([window(text) for text in texts], at(now))
    assert found
    assert found[0].astimezone(UTC) == at(opens)


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Shanghai",
    "Pacific/Apia",
    "America/Scoresbysund",
]
TIMES = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
CHANGES = [
    "2026-03-29T01:00",
    "2026-03-08T07:00",
    "2026-11-01T06:00",
    "2026-04-04T15:00",
    "2026-04-23T22:00",
    "2011-12-30T10:00",
]


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(DAYS), min_size=1), TIMES, TIMES | st.just("24:00"), st.sampled_from(ZONES)),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from(CHANGES),
    st.integers(-3 * 24 * 60, 24 * 60),
)
@settings(max_examples=150, deadline=None)
def test_the_next_opening_is_the_first_minute_in_which_a_window_is_open(found, change, minutes):
    """Near changes of the clock, compared with a search minute by minute."""
    windows = [Window(**{"days": sorted(days), "from": start, "to": end, "zone": zone}) for days, start, end, zone in found]
    now = at(change) + timedelta(minutes=minutes, seconds=7)
    opening = guard.next_opening(windows, now)
    moment = now.replace(second=0)
    for _ in range(HORIZON_DAYS * 24 * 60):
        moment += MINUTE
        if opened := [one for one in windows if guard.is_open(one, moment)]:
            assert opening
            assert (opening[0].astimezone(UTC), opening[1]) == (moment, opened[0])
            return
    assert opening is None


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


def test_the_digest_tells_what_is_protected_and_is_the_old_one_where_nothing_is_said(tmp_path):
    one = made(tmp_path)
    dumped = one.model_dump(mode="json")
    before = {**dumped, "inventory": {key: value for key, value in dumped["inventory"].items() if key != "protected"}}
    assert digest_of(before) == one.digest
    assert made(tmp_path, hosts=f"protected: no\n{HOSTS}").digest != one.digest


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


TWO = GOOD.replace(
    "    name: Kill it\n",
    """    name: Kill it
  - command.run: {argv: [touch, /x], effect: fault, undo: [rm, -f, /x], proof: [test, -e, /x]}
    hosts: [db-1, db-2]
""",
)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("{max_hosts: 3}", None),
        ("{max_hosts: {db: 2, all: 3}}", None),
        ("{max_percent: {db: 100}}", None),
        ("{max_hosts: 2}", "the faults affect 3 hosts of 'all' (app-1, db-1, db-2); the guard allows 2"),
        ("{max_hosts: {db: 1}}", "the faults affect 2 hosts of 'db' (db-1, db-2); the guard allows 1"),
        ("{max_percent: {db: 99}}", "the faults affect 2 hosts of 'db' (db-1, db-2); the guard allows 99 % of its 2 hosts"),
        ("{max_percent: 50}", "the faults affect 3 hosts of 'all'"),
        ("{max_hosts: {dbs: 1}}", "no host or group 'dbs'"),
        ("{hosts: [db-9]}", "no host or group 'db-9'"),
    ],
)
def test_faults_reach_no_further_than_the_guard_allows(tmp_path, rules, told):
    assert "hosts: [db-1, db-2]" in TWO
    if told is None:
        made(tmp_path, rules, TWO)
        return
    with pytest.raises(PlanError) as caught:
        made(tmp_path, rules, TWO)
    assert told in caught.value.message
    assert caught.value.exit_status == 2
    assert caught.value.where.line == 4


def test_a_fault_through_a_service_hits_the_services_host(tmp_path):
    drill = GOOD.replace(
        "  - service.kill: {service: api}\n",
        """\
  - command.run: {argv: [touch, /x], effect: fault, undo: [rm, -f, /x], proof: [test, -e, /x]}
    hosts: [controller]
""",
    )
    one = made(tmp_path, "{max_hosts: 1}", drill)
    assert faulted(one.steps, one.inventory) == {"controller"}
    step = one.steps[1].model_copy(update={"params": {"service": "api"}})
    assert faulted([step], one.inventory) == {"app-1"}
    step = step.model_copy(update={"hosts": ("db-1",)})
    assert faulted([step], one.inventory) == {"app-1", "db-1"}, "it may reach the service through its own protocol"


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


def test_of_an_action_and_a_probe_with_one_name_the_words_choose(tmp_path):
    looks = "{tcp.open: {address: 127.0.0.1, port: 80}%s}"
    one = made(tmp_path, f"{{abort_if: [{looks % ''}, {looks % ', timeout: 2s'}]}}")
    assert [bool(condition.probe) for condition in one.guard.conditions] == [True, False]


@pytest.mark.parametrize(
    ("condition", "error", "told"),
    [
        ("{service.kill: {service: api}}", PlanError, "service.kill makes changes"),
        ('{command.run: {argv: ["true"], effect: write}, hosts: [app-1]}', PlanError, "makes changes"),
        ('{command.run: {argv: ["{{ said.stdout }}"], effect: read}, hosts: [app-1]}', PlanError, "'said' has no value yet"),
        ("{service.status: {service: apy}}", PlanError, "no service 'apy'"),
        ("{service.statsu: {service: api}}", SpecError, "no action or probe 'service.statsu'"),
        ("{postgres.canary: {service: database}}", SpecError, "a condition must be read-only"),
        ('{http.available: {url: "http://x"}, expect: "result.x"}', SpecError, "the key 'expect' is only for actions"),
        ("{service.status: {service: api}, allow_failure: never}", SpecError, "unknown keyword 'allow_failure'"),
        ("{service.status: {service: api}, every: 10ms}", SpecError, "every"),
        ("{service.status: {service: api}, tries: 0}", SpecError, "tries"),
    ],
)
def test_a_condition_only_looks(tmp_path, condition, error, told):
    with pytest.raises(error) as caught:
        made(tmp_path, f"{{abort_if: [{condition}]}}")
    assert told in caught.value.message
    assert caught.value.where.line == 4


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


def test_the_digest_is_of_what_is_done_not_of_where_it_is_written(tmp_path):
    rules = WATCHED % "{service.status: {service: api}}"
    first = made(tmp_path, rules)
    moved = made(tmp_path, rules, GOOD.replace("inject:", "# a remark\n\ninject:"))
    assert moved.steps[-1].line != first.steps[-1].line
    assert moved.digest == first.digest
    others = [
        made(tmp_path, rules.replace("lease: 10s", "lease: 11s")),
        made(tmp_path, rules.replace("for: 5s", "for: 6s")),
        made(tmp_path, rules, hosts=HOSTS.replace("2201", "2209")),
        made(tmp_path, rules.replace("hosts: [db]", "hosts: []")),
        made(tmp_path, rules, GOOD.replace("name: Kill it", "name: Kill it\n    timeout: 9s")),
    ]
    assert len({first.digest, *(one.digest for one in others)}) == 1 + len(others)


def test_two_copies_of_a_project_have_one_digest(tmp_path):
    hosts = HOSTS.replace("!env KEY", "!file secrets/key") + "approvers: approvers\n"
    digests, paths = set(), set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        one = made(tmp_path / name, hosts=hosts)
        digests.add(one.digest)
        paths.add(one.inventory.approvers)
    assert paths == {str(tmp_path / "one" / "approvers"), str(tmp_path / "other" / "approvers")}
    assert len(digests) == 1
    assert made(tmp_path, hosts=hosts.replace("secrets/key", "secrets/other")).digest not in digests


def test_parameters_named_line_belong_to_the_digest(tmp_path):
    one = made(tmp_path).model_dump(mode="json")
    one["steps"][0]["params"] = {"line": "1", "params": {}}
    other = {**one, "steps": [{**one["steps"][0], "params": {"line": "2", "params": {}}}, *one["steps"][1:]]}
    assert digest_of(one) != digest_of(other)


def test_services_that_are_hit_are_locked(tmp_path):
    one = made(tmp_path)
    assert one.locks() == (LockName("unit-api", "app-1", ("api",)),)
    assert one.locks()[0].title == "api (unit-api)"


def test_a_lock_bears_the_name_of_the_thing_whatever_it_is_called(tmp_path):
    hosts = HOSTS.replace("  api:", "  frontend:").replace("app-1", "web")
    drill = GOOD.replace("service: api", "service: frontend").replace("services.api", "services.frontend")
    (tmp_path / "sample.yml").write_text(drill)
    (tmp_path / "hosts.yml").write_text(hosts)
    other = planner.make(spec.load(tmp_path / "sample.yml"), inventory.load(tmp_path / "hosts.yml"))
    assert other.locks() == (LockName("unit-api", "web", ("frontend",)),)


def test_two_names_of_one_thing_take_one_lock(tmp_path):
    """Otherwise the run would be refused because of its own lock."""
    twice = HOSTS.replace("  backups:", "  frontend: {kind: process, host: app-1, unit: api}\n  backups:")
    drill = GOOD.replace("restore:\n", "restore:\n  - service.start: {service: frontend}\n")
    assert made(tmp_path, drill=drill, hosts=twice).locks() == (LockName("unit-api", "app-1", ("api", "frontend")),)


def test_a_fault_of_a_whole_host_locks_the_host(tmp_path):
    """Otherwise two drills whose services share a host could both break it."""
    drill = GOOD.replace(
        "    name: Kill it\n",
        """    name: Kill it
  - command.run: {argv: [touch, /x], effect: fault, undo: [rm, -f, /x], proof: [test, -e, /x]}
    hosts: [app-1, db-1]
""",
    )
    assert made(tmp_path, "{}", drill).locks() == (
        LockName("host", "app-1"),
        LockName("host", "db-1"),
        LockName("unit-api", "app-1", ("api",)),
    )
