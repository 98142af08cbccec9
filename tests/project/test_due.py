"""Drills that are due, overdue or never passed: by drill, environment and service, from files and results alone."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.plan.schedule import State
from drillbook.project import due
from drillbook.project.project import Project
from drillbook.report.figures import moment
from drillbook.report.formats import as_json
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


def test_included_files_count_and_the_lab_of_a_project_does_not(shelf):
    inventory(shelf, "base", STAGING.replace("environment: staging\n", ""))
    inventory(shelf, "staging", "environment: staging\ninclude: base.yml\n")
    inventory(shelf, "lab", "environment: lab\nlab: embedded\nservices: {api: {kind: http, host: a, url: !lab api.url}}\n")
    assert states(shelf) == {("shop", "staging"): State.NEVER, ("cache", "staging"): State.NEVER}


def test_the_inventory_file_is_newer_than_the_newest_plan(shelf):
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=DAY)
    text = (shelf.root / "hosts.yml").read_text().replace("lab: embedded\n", "")
    inventory(shelf, "lab", text.replace("services: {", "services: {new: {kind: process, host: app-1}, "))
    assert states(shelf) == {("new", "lab"): State.NEVER, ("fresh", "lab"): State.OK}


def test_an_inventory_that_cannot_be_read_hides_nothing(shelf):
    inventory(shelf, "staging", "environment: staging\nservices: [\n")
    found = read(shelf)
    assert found.status == Exit.UNVERIFIED
    assert found.unread[0].startswith("inventory/staging.yml:3:1: ")
    assert found.as_data()["unread"] == list(found.unread)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_service_is_exempt_only_if_all_inventories_of_its_environment_say_so(shelf, names):
    inventory(shelf, names[0], STAGING.replace("cache: {", "cache: {not_drilled: rebuilt, "))
    inventory(shelf, names[1], STAGING)
    assert states(shelf) == {("shop", "staging"): State.NEVER, ("cache", "staging"): State.NEVER}
    inventory(shelf, names[1], STAGING.replace("cache: {", "cache: {not_drilled: rebuilt, "))
    assert states(shelf) == {("shop", "staging"): State.NEVER}


@pytest.mark.parametrize("line", ["environments: staging\n", "environment: [staging]\n", "environment:\n", ""])
def test_services_without_an_environment_are_not_silently_left_out(shelf, line):
    inventory(shelf, "staging", STAGING.replace("environment: staging\n", line))
    found = read(shelf)
    assert (found.rows, found.status) == ((), Exit.UNVERIFIED)
    assert found.unread[0].startswith("inventory/staging.yml: the services have no environment")
    inventory(shelf, "hosts", "hosts: {app-1: {address: 127.0.0.1, port: 1}}\n")
    inventory(shelf, "lab", "lab: embedded\nservices: {api: {kind: http, host: a, url: !lab api.url}}\n")
    assert read(shelf).unread == found.unread, "no services, and a lab"
    inventory(shelf, "whole", "environment: staging\ninclude: staging.yml\n")
    assert read(shelf).unread == ()
    assert set(states(shelf).values()) == {State.NEVER}


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


def test_a_proof_grows_old_although_its_drill_passes(shelf):
    shelf.drill("restores", "every: 30d\ngrace: 1d\n")
    proof = shelf.result("restores", ago=20 * DAY)
    (row,) = read(shelf).rows
    assert (row.state, row.proven, row.proven_run) == (State.OK, row.passed, proof.name)
    shelf.result("restores", ago=2 * DAY, proof=False)
    assert states(shelf) == {("restores", "lab"): State.OK, ("app", "lab"): State.OK}
    later = due.read(Project(shelf.root), NOW + 10 * DAY)
    assert [row.state for row in later.rows] == [State.DUE, State.OK]
    late = due.read(Project(shelf.root), NOW + 11 * DAY)
    row = late.rows[0]
    assert (row.state, row.service, row.drill, row.proven_run) == (State.OVERDUE, "app", "", proof.name)
    assert moment(row.overdue_since) == (NOW + 11 * DAY).replace(microsecond=0)
    assert late.status == Exit.FAILED
    shelf.drill("other")
    shelf.result("other", ago=DAY)
    assert states(shelf) == {("restores", "lab"): State.OK}, "any drill may prove the service"


SUITE = "suite: all\ntitle: All\nevery: 7d\ndrills: [one]\n"


def in_suite(shelf, drill, ago, *, proof):
    """Passed run of ``drill`` in a passed run of the suite `all`."""
    inner = shelf.result(drill, ago=ago, proof=proof)
    suite = inner.parent / shelf.run_id("all", ago)
    suite.mkdir()
    result = {"schema": "drillbook/suite/1", "run": suite.name, "suite": "all", "environment": "lab"}
    result |= {"verdict": "passed", "exit": 0, "started": f"{NOW - ago:%Y-%m-%dT%H:%M:%S.%fZ}"}
    (suite / "result.json").write_text(as_json(result))
    inner.rename(suite / inner.name)


def test_a_suite_that_no_longer_proves_a_service_is_found(shelf):
    shelf.drill("one")
    (shelf.root / "drills" / "all.yml").write_text(SUITE)
    in_suite(shelf, "one", 20 * DAY, proof=True)
    in_suite(shelf, "one", DAY, proof=False)
    assert states(shelf) == {("all", "lab"): State.OK, ("app", "lab"): State.OVERDUE}


def test_a_proof_grows_old_after_its_drill_was_renamed_or_removed(shelf):
    shelf.drill("restores", "every: 30d\n")
    shelf.result("restores", ago=400 * DAY)
    (shelf.root / "drills" / "restores.yml").unlink()
    shelf.drill("restores-v2", "every: 30d\n")
    shelf.result("restores-v2", ago=DAY, proof=False)
    assert states(shelf) == {("app", "lab"): State.OVERDUE, ("restores-v2", "lab"): State.OK}
    assert read(shelf).status == Exit.FAILED
    shelf.drill("restores", "every: 500d\n")
    assert states(shelf) == {("restores", "lab"): State.OK, ("restores-v2", "lab"): State.OK}, (
        "its own schedule asks for less"
    )


@pytest.mark.parametrize("kept", [True, False])
def test_a_proof_grows_old_after_its_suite_dropped_the_drill(shelf, kept):
    shelf.drill("one")
    shelf.drill("two")
    (shelf.root / "drills" / "all.yml").write_text(SUITE.replace("one", "two"))
    in_suite(shelf, "one", 20 * DAY, proof=True)
    if not kept:
        (shelf.root / "drills" / "one.yml").unlink()
    in_suite(shelf, "two", DAY, proof=False)
    assert states(shelf) == {("all", "lab"): State.OK, ("app", "lab"): State.OVERDUE}
