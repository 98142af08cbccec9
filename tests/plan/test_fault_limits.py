"""Limits of a guard: the faults of a drill affect no more hosts than `max_hosts` and `max_percent` allow."""

import pytest

from drillbook.errors import PlanError
from tests.plan.test_guard import made
from tests.plan.test_planner import made as planned
from tests.plan.test_planner_cases import STEPS, drill, refused
from tests.plan.test_spec import GOOD

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


THREE = "  - command.run: {argv: [make], effect: fault, undo: [mend], proof: [is]}\n    hosts: [db-1, db-2]\n"


@pytest.mark.parametrize(
    ("guard", "message", "at"),
    [
        ("{max_hosts: 3}", None, ""),
        ("{max_hosts: 2}", "the faults affect 3 hosts of 'all' (app-1, db-1, db-2); the guard allows 2", "max_hosts"),
        ("{max_hosts: {db: 2}}", None, ""),
        ("{max_hosts: {db: 1}}", "the faults affect 2 hosts of 'db' (db-1, db-2); the guard allows 1", "db"),
        ("{max_percent: 100}", None, ""),
        ("{max_percent: 99}", "the guard allows 99 % of its 3 hosts", "max_percent"),
        (
            "{max_percent: {db: 99}}",
            "the faults affect 2 hosts of 'db' (db-1, db-2); the guard allows 99 % of its 2 hosts",
            "db",
        ),
        ("{max_hosts: {dbx: 1}}", "there is no host or group 'dbx'", "dbx"),
        ("{max_hosts: {db: 2}, max_percent: {all: 99}}", "the guard allows 99 % of its 3 hosts", "all"),
    ],
)
def test_faults_hit_no_more_hosts_than_the_guard_allows(tmp_path, guard, message, at):
    text = drill(STEPS.replace("inject:\n", f"inject:\n{THREE}"), guard)
    if message is None:
        assert planned(tmp_path, text).guard.max_hosts or planned(tmp_path, text).guard.max_percent
        return
    told, _, marked = refused(tmp_path, text)
    assert message in told
    assert marked.startswith(at)
