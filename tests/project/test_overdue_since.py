"""Since when a proof of a restore is overdue: by the schedules of all drills that passed since and did not renew it."""

import pytest

from drillbook.exits import Exit
from drillbook.plan.schedule import State
from drillbook.project import due
from drillbook.project.project import Project
from drillbook.report.figures import moment
from drillbook.report.formats import as_json
from tests.cli.test_overview import NOW
from tests.project.test_due import DAY, read, states
from tests.project.test_due import shelf as shelf


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
    result |= {"runs": [{"run": inner.name, "drill": drill, "folder": inner.name}]}
    result |= {"verdict": "passed", "exit": 0, "started": f"{NOW - ago:%Y-%m-%dT%H:%M:%S.%fZ}"}
    (suite / "result.json").write_text(as_json(result))
    inner.rename(suite / inner.name)
    return suite


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
