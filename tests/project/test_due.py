"""Drills that are due, overdue or never passed: by drill, environment and service, from files and results alone."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.cli import short_list
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.plan.schedule import State
from drillbook.project import due
from drillbook.project.project import Project
from tests.cli.test_overview import NOW, Shelf

DAY = timedelta(days=1)


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path)
    (tmp_path / "drills" / "sample.yml").unlink()
    return made


def read(shelf, **how):
    return due.read(Project(shelf.root), NOW, **how)


def states(shelf, **how):
    return {(row.drill or row.service, row.environment): row.state for row in read(shelf, **how).rows}


def elsewhere(folder, environment):
    """Change the environment in the result of the run in ``folder``."""
    path = folder / "result.json"
    path.write_text(path.read_text().replace('"environment": "lab"', f'"environment": "{environment}"'))


def test_each_state_and_the_exit_status(shelf):
    assert read(shelf).status == Exit.FAILED, "no drill"
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=9 * DAY)
    assert read(shelf).status == Exit.OK
    shelf.drill("ripe", "every: 30d\n")
    shelf.result("ripe", ago=31 * DAY)
    assert read(shelf).status == Exit.OK
    (shelf.root / "drills" / "broken.yml").write_text("drill: [")
    assert read(shelf).status == Exit.UNVERIFIED
    shelf.drill("late", "every: 30d\ngrace: 0s\n")
    shelf.result("late", ago=31 * DAY)
    assert read(shelf).status == Exit.FAILED
    shelf.drill("never", "every: 30d\n")
    shelf.drill("whenever")
    assert states(shelf) == {
        ("late", "lab"): State.OVERDUE,
        ("never", ""): State.NEVER,
        ("broken", ""): State.UNKNOWN,
        ("ripe", "lab"): State.DUE,
        ("fresh", "lab"): State.OK,
    }
    found = read(shelf)
    assert found.unscheduled == ("whenever",)
    late = found.rows[0]
    assert (late.service, late.overdue_s) == ("app", 86400.0)
    assert datetime.fromisoformat(late.overdue_since) == (NOW - DAY).replace(microsecond=0)


def test_never_passed_alone_is_an_alarm(shelf):
    shelf.drill("never", "every: 30d\n")
    assert read(shelf).status == Exit.FAILED


def test_failed_runs_and_runs_with_residue_prove_nothing(shelf):
    shelf.drill("left", "every: 30d\n")
    shelf.result("left", ago=DAY, status=5)
    shelf.result("left", "failed", ago=2 * DAY, status=1)
    (row,) = read(shelf).rows
    assert (row.state, row.last_verdict, int(row.overdue_s)) == (State.NEVER, "passed", 2 * 86400)


def test_a_drill_that_failed_is_due_at_once_and_no_sooner_overdue(shelf):
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=9 * DAY)
    shelf.result("fresh", "refused", ago=8 * DAY, status=4)
    shelf.result("fresh", "inconclusive", ago=7 * DAY, status=3)
    before = read(shelf).rows[0]
    assert before.state is State.OK
    shelf.result("fresh", "failed", ago=5 * DAY, status=1)
    shelf.result("fresh", "failed", ago=3 * DAY, status=1)
    shelf.result("fresh", "refused", ago=2 * DAY, status=4)
    (row,) = read(shelf).rows
    assert (row.state, int(row.until_due_s), row.overdue_since) == (State.DUE, -5 * 86400, before.overdue_since)
    assert read(shelf).status == Exit.OK
    shelf.result("fresh", ago=DAY)
    assert read(shelf).rows[0].state is State.OK
    shelf.result("fresh", status=5)
    assert read(shelf).rows[0].state is State.DUE, "it left changes"


def test_a_run_that_left_changes_is_not_hidden_by_a_refused_one(shelf):
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=9 * DAY)
    shelf.result("fresh", "aborted", ago=5 * DAY, status=5)
    assert read(shelf).rows[0].state is State.DUE
    shelf.result("fresh", "refused", ago=2 * DAY, status=4)
    (row,) = read(shelf).rows
    assert (row.state, int(row.until_due_s)) == (State.DUE, -5 * 86400)


@pytest.mark.parametrize("verdict", ["failed", "inconclusive", "aborted"])
def test_a_run_that_did_not_end_well_is_not_hidden_by_a_refused_one(shelf, verdict):
    """To start a drill again before its dead run is recovered is the natural mistake, and is refused."""
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=9 * DAY)
    left = shelf.result("fresh", verdict, ago=5 * DAY, status=4)
    shelf.result("fresh", "refused", ago=3 * DAY, status=4)
    shelf.result("fresh", "refused", ago=2 * DAY, status=4)
    (row,) = read(shelf).rows
    assert (row.last_verdict, row.last_run) == (verdict, left.name)
    assert short_list.must_run_again(row.last_verdict, row.state)
    shelf.result("fresh", ago=DAY)
    shelf.result("fresh", "refused", status=4)
    (row,) = read(shelf).rows
    assert (row.state, row.last_verdict) == (State.OK, "refused"), "the run before it passed"


def test_an_overdue_drill_is_due_by_its_schedule_whatever_failed(shelf):
    shelf.drill("late", "every: 30d\n")
    shelf.result("late", ago=50 * DAY)
    before = read(shelf).rows[0]
    shelf.result("late", "failed", ago=45 * DAY, status=1)
    assert read(shelf).rows[0].due == before.due, "otherwise contacts would be told of it again"


def test_a_mistyped_environment_is_refused_since_it_would_never_raise_an_alarm(shelf):
    shelf.drill("sample", "every: 30d\nguard: {environments: [staging]}\n")
    with pytest.raises(UsageError, match="no inventory, guard or run names the environment 'stagng'") as caught:
        read(shelf, environment="stagng")
    assert caught.value.hint == "did you mean 'staging'? the environments are staging"
    for place in ("qa", "lab", "legacy"):
        with pytest.raises(UsageError):
            read(shelf, environment=place)
    inventory(shelf, "qa", "environment: qa\n")
    inventory(shelf, "lab", "environment: lab\nlab: embedded\nservices: {api: {kind: http, host: a, url: !lab api.url}}\n")
    shelf.drill("gone")
    elsewhere(shelf.result("gone", ago=DAY), "legacy")
    (shelf.root / "drills" / "gone.yml").unlink()
    for place in ("qa", "lab", "legacy"):
        found = read(shelf, environment=place)
        assert (found.environment, found.elsewhere, found.status) == (place, True, Exit.OK)
    found = read(shelf, environment="staging")
    assert (found.elsewhere, found.status) == (False, Exit.FAILED)
    assert not read(shelf).elsewhere
    inventory(shelf, "broken", "environment: [\n")
    found = read(shelf, environment="stagng")
    assert (found.elsewhere, found.status) == (True, Exit.UNVERIFIED)


def test_a_pass_counts_only_in_its_environment(shelf):
    shelf.drill("both", "every: 30d\nguard: {environments: [lab, staging]}\n")
    elsewhere(shelf.result("both", ago=50 * DAY), "staging")
    shelf.result("both", ago=DAY)
    assert states(shelf) == {("both", "staging"): State.OVERDUE, ("both", "lab"): State.OK}
    assert states(shelf, environment="lab") == {("both", "lab"): State.OK}
    shelf.drill("both", "every: 30d\n")  # staging is no longer allowed
    assert states(shelf) == {("both", "lab"): State.OK}


def test_the_two_labs_count_apart(shelf):
    """The Docker lab is another system: a run there proves nothing about the embedded lab, and is not demanded beside it."""
    shelf.drill("both", "every: 30d\nguard: {environments: [lab, staging]}\n")
    elsewhere(shelf.result("both", ago=50 * DAY), "docker-lab")
    assert states(shelf) == {("both", "docker-lab"): State.OVERDUE}
    assert states(shelf, environment="lab") == {}
    assert states(shelf, environment="staging") == {("both", "staging"): State.NEVER}
    shelf.result("both", ago=DAY)
    assert states(shelf) == {("both", "docker-lab"): State.OVERDUE, ("both", "lab"): State.OK}


def test_a_service_that_no_run_proved_and_no_schedule_covers(shelf):
    path = shelf.root / "hosts.yml"
    path.write_text(path.read_text() + "  spare: {kind: process, host: app-1, not_drilled: a spare}\n".replace("  ", "", 0))
    text = path.read_text().replace(
        "services: {app: {kind: process, host: app-1}}\n  spare",
        "services:\n  app: {kind: process, host: app-1}\n  other: {kind: process, host: app-1}\n  spare",
    )
    path.write_text(text)
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=DAY)
    assert states(shelf) == {("other", "lab"): State.NEVER, ("fresh", "lab"): State.OK}


def test_a_suite_has_its_own_schedule_and_the_services_of_its_drills(shelf):
    shelf.drill("one")
    (shelf.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 7d\ndrills: [one]\n")
    (row,) = read(shelf).rows
    assert (row.drill, row.suite, row.service, row.state) == ("all", True, "app", State.NEVER)


def test_a_window_that_cannot_be_read_makes_the_schedule_unknown(shelf):
    shelf.drill("odd", "every: 30d\nguard: {windows: [{from: 2, to: 3, zone: Nowhere}]}\n")
    (row,) = read(shelf).rows
    assert row.state is State.UNKNOWN
    assert "guard.windows" in row.why


def test_the_data_is_json_with_the_exit_status(shelf):
    shelf.drill("never", "every: 30d\n")
    data = json.loads(json.dumps(read(shelf).as_data()))
    assert (data["schema"], data["exit"], data["rows"][0]["state"]) == ("drillbook/due/1", 1, "never passed")
    assert data["now"] == NOW.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


STAGING = """\
environment: staging
hosts: {app-1: {address: 127.0.0.1, port: 1}}
services:
  shop: {kind: process, host: app-1}
  cache: {kind: redis, host: app-1, password: !env NOT_SET, admin: {password: !command ["false"]}}
  spare: {kind: process, host: app-1, not_drilled: a spare}
"""


def inventory(shelf, name, text):
    (shelf.root / "inventory").mkdir(exist_ok=True)
    (shelf.root / "inventory" / f"{name}.yml").write_text(text)


def test_services_of_an_inventory_without_any_run_were_never_drilled(shelf):
    inventory(shelf, "staging", STAGING)
    shelf.drill("never", "every: 30d\n")  # of the service app, in the lab
    expected = {("shop", "staging"): State.NEVER, ("cache", "staging"): State.NEVER}
    assert states(shelf, environment="staging") == expected
    assert states(shelf) == {**expected, ("never", ""): State.NEVER}
    assert read(shelf, environment="staging").status == Exit.FAILED


def test_a_schedule_covers_a_service_only_where_the_drill_may_run(shelf):
    inventory(shelf, "staging", STAGING.replace("  shop:", "  app:"))
    shelf.drill("never", "every: 30d\n")
    assert ("app", "staging") in states(shelf)
    shelf.drill("never", "every: 30d\nguard: {environments: [lab, staging]}\n")
    assert ("app", "staging") not in states(shelf)


def test_drills_that_never_passed_alarm_while_nothing_has_a_schedule(shelf):
    shelf.drill("one")
    shelf.drill("two", "guard: {environments: [staging]}\n")
    (shelf.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [one]\n")
    assert states(shelf) == {("one", ""): State.NEVER, ("two", ""): State.NEVER}
    assert states(shelf, environment="lab") == {("one", "lab"): State.NEVER}
    assert read(shelf).status == Exit.FAILED
    shelf.result("one", "failed", ago=DAY, status=1)
    (row,) = read(shelf, environment="lab").rows
    assert (row.state, row.environment, row.last_verdict) == (State.NEVER, "lab", "failed")
    shelf.result("one", ago=DAY)
    silent = read(shelf, environment="lab")
    assert (silent.rows, silent.scheduled, silent.status) == ((), False, Exit.FAILED), "it will never warn again"
    shelf.drill("two", "every: 30d\nguard: {environments: [staging]}\n")
    shelf.drill("three")
    assert states(shelf) == {("two", ""): State.NEVER}, "a drill without a schedule may stay so beside others"


def test_a_pass_that_restored_nothing_proves_no_service(shelf):
    shelf.drill("examines", "every: 30d\n")
    shelf.result("examines", ago=DAY, proof=False)
    assert states(shelf) == {("app", "lab"): State.NEVER, ("examines", "lab"): State.OK}
    assert read(shelf).status == Exit.FAILED
    shelf.drill("whenever")
    shelf.result("whenever", ago=50 * DAY, status=5)
    assert ("app", "lab") in states(shelf), "it left changes"
    shelf.result("whenever", ago=40 * DAY)
    assert states(shelf) == {("examines", "lab"): State.OK}, "no schedule asks for a newer proof"


def test_a_drill_of_a_scheduled_suite_is_not_without_a_schedule(shelf):
    shelf.drill("one")
    shelf.drill("two")
    (shelf.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 7d\ndrills: [one]\n")
    assert read(shelf).unscheduled == ("two",)
