"""Identity of a run: a name that sorts by time, the operator, and the last hash of the run before."""

import pytest

from drillbook.campaign.attempt import PREVIOUS_VARIABLE, RUN_VARIABLE
from drillbook.cli import run_identity
from drillbook.errors import UsageError
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunStates
from drillbook.project.project import Project
from drillbook.sdk.run_names import RUN_ID, drill_of
from tests.cli.test_overview import DAY
from tests.cli.test_overview import shelf as shelf


@pytest.fixture(autouse=True)
def asked_anew():
    run_identity._given_previous.cache_clear()
    yield
    run_identity._given_previous.cache_clear()


def test_names_of_runs_sort_by_time_and_hold_the_drill():
    names = [run_identity.new_run_id("api-down") for _ in range(3)]
    assert len({*names}) == 3
    assert [name[:19] for name in names] == sorted(name[:19] for name in names)
    assert all(RUN_ID.fullmatch(name) and drill_of(name) == "api-down" for name in names)


def test_a_campaign_names_the_first_run_of_its_process_alone(monkeypatch):
    given = run_identity.new_run_id("api-down")
    monkeypatch.setenv(RUN_VARIABLE, given)
    assert run_identity.given_run_id("api-down") == given
    assert run_identity.given_run_id("api-down") != given
    monkeypatch.setenv(RUN_VARIABLE, given)
    with pytest.raises(UsageError, match="must be the name of a run of other"):
        run_identity.given_run_id("other")


def test_a_pipeline_names_the_operator(monkeypatch):
    monkeypatch.setenv("DRILLBOOK_OPERATOR", "ann@ci")
    assert run_identity.operator() == "ann@ci"
    monkeypatch.delenv("DRILLBOOK_OPERATOR")
    assert "@" in run_identity.operator()


def test_the_run_before_is_the_newest_one_whose_journal_can_be_read(shelf, monkeypatch):
    project = Project(shelf.root)
    assert run_identity.previous_head(project, shelf.run_id("sample", 0 * DAY), RunStates()) is None
    old, damaged = shelf.result("sample", ago=3 * DAY), shelf.result("sample", ago=2 * DAY)
    shelf.result("sample", ago=DAY)
    (damaged / FILE).write_text("nonsense\n")
    before = shelf.run_id("sample", 1.5 * DAY)
    assert run_identity.previous_head(project, before, RunStates()) == read(old / FILE).head
    monkeypatch.setenv(PREVIOUS_VARIABLE, "sha256:given")
    run_identity._given_previous.cache_clear()
    assert run_identity.previous_head(project, before, RunStates()) == "sha256:given"
    assert run_identity.of_campaign()
