"""RPO of a canary whose records the team's own commands perhaps neither removed nor restored."""

import json
from pathlib import Path

import pytest
import yaml

from drillbook.judge.result import Objective
from drillbook.judge.rpo import OF_BACKUP
from drillbook.plan.spec import PHASES
from drillbook.report import own_commands, remarks
from drillbook.report.remarks import MARK, OWN_ROWS, OWN_ROWS_MARK, RESERVED
from drillbook.sdk.action import find, known_names
from tests.program import Folder
from tests.report.test_agreement import plain

SHIPPED = sorted(Path(__file__).parents[2].joinpath("drills").rglob("*.yml"))
FAULT = ("inject.1", "command.run", {"effect": "fault"})
COMMAND = ("restore.1", "command.run", {"effect": "write"})
KILL = ("inject.1", "process.kill", {})
START = ("restore.2", "service.start", {})
MADE = {"made": {"manifest": "aa"}}
ALL = ("restore.3", "postgres.restore", MADE)
TABLE = ("restore.3", "postgres.restore_table", MADE)
ELSEWHERE = {"other_service": "cache"}
TAKEN = ("backup.1", "content.take", {})
MATCHES = ("verify.1", "content.matches", {})


def rpo(**more):
    known = {"target_s": 60.0, "measured_s": 0.0, "error_s": 0.1, "met": True, "clock": "acknowledged writes"}
    return Objective(**{**known, "lost_writes": 0, "acknowledged_writes": 29, **more})


def steps(*told, status="done"):
    return [remarks.Step(id_, action, status, facts) for id_, action, facts in told]


@pytest.mark.parametrize(
    ("told", "doubtful"),
    [
        ([FAULT, COMMAND], True),
        ([FAULT], True),
        ([FAULT, START], True),
        ([FAULT, TABLE], True),
        ([FAULT, ALL], False),
        ([KILL, COMMAND], True),
        ([KILL, START], False),
        ([KILL, ("restore.1", "command.run", {"effect": "read"}), START], False),
        ([KILL, ("restore.1", "command.run", {"exit": 0})], True),
        ([KILL, COMMAND, ALL], False),
        ([KILL, COMMAND, TABLE], False),
        ([KILL, ("restore.1", "ansible.playbook", {"effect": "write"})], True),
        ([KILL, ("restore.1", "http.flow", {"effect": "write"})], True),
        ([KILL, ("restore.1", "http.flow", {"effect": "read"}), START], False),
        ([KILL, ("restore.1", "no.such", {"effect": "write"})], False),
        ([KILL, START, ("verify.1", "command.run", {"effect": "write"})], False),
        ([KILL, ("restore.1", "manual.confirm", {"answer": "yes"})], True),
        ([("inject.1", "manual.confirm", {"answer": "yes"}), START], True),
        ([KILL, ("restore.1", "manual.confirm", {"answer": "yes"}), ALL], False),
        ([KILL, START, ("verify.1", "manual.confirm", {"answer": "yes"})], False),
        ([TAKEN, FAULT, COMMAND, MATCHES], False),
        ([FAULT, COMMAND, TAKEN, MATCHES], False),
        ([FAULT, COMMAND, ("verify.1", "content.take", {}), ("verify.2", "content.matches", {})], True),
        ([TAKEN, FAULT, COMMAND], True),
        ([TAKEN, FAULT, COMMAND, ("verify.1", "mariadb.matches", {})], True),
        ([("ready.1", "mariadb.content", {}), FAULT, COMMAND, ("verify.1", "mariadb.matches", {})], False),
        ([FAULT, COMMAND, ("restore.3", "redis.restore", MADE | ELSEWHERE)], True),
        ([FAULT, ("restore.3", "redis.restore", MADE | ELSEWHERE)], True),
        ([FAULT, ("restore.3", "redis.restore", MADE)], False),
        ([("backup.1", "content.take", ELSEWHERE), FAULT, COMMAND, ("verify.1", "content.matches", ELSEWHERE)], True),
        ([TAKEN, FAULT, COMMAND, ("verify.1", "content.matches", ELSEWHERE)], True),
        ([KILL, ("restore.1", "http.flow", {}), START], True),
        ([KILL, ("restore.1", "postgres.sql", {"rows": []}), START], False),
        ([KILL, ("restore.1", "postgres.sql", {"rows": [], "effect": "write"})], True),
        ([("backup.1", "postgres.dump", {}), FAULT, COMMAND, ("verify.1", "postgres.matches", {})], True),
    ],
)
def test_a_command_that_may_have_touched_any_data_needs_a_proof(told, doubtful):
    assert own_commands.doubtful(steps(*told), rpo()) is doubtful


@pytest.mark.parametrize("more", [{"lost_writes": 3}, {"clock": OF_BACKUP}, {"measured_s": None, "met": None}])
def test_lost_writes_and_the_age_of_a_backup_are_figures_of_the_data_itself(more):
    assert not own_commands.doubtful(steps(FAULT, COMMAND), rpo(**more))
    assert not own_commands.doubtful(steps(FAULT, COMMAND), None)


def test_a_comparison_that_did_not_pass_proves_nothing():
    assert own_commands.doubtful([*steps(TAKEN, FAULT, COMMAND), *steps(MATCHES, status="allowed")], rpo())


def test_a_command_that_failed_and_was_allowed_to_fail_may_have_changed_data():
    assert own_commands.doubtful([*steps(KILL), *steps(COMMAND, status="allowed")], rpo())
    assert not own_commands.doubtful([*steps(KILL), *steps(COMMAND, status="skipped")], rpo())


def test_the_remark_stands_before_that_of_the_drills_own_backup():
    own = {"identity": {"manifest": "aa"}, "location": "s3://b/today"}
    told = remarks.of_run(steps(("backup.1", "postgres.dump", own), FAULT, TABLE), "2026-01-02T10:00:00Z", rpo())["rpo"]
    assert told.mark == f" {OWN_ROWS_MARK}{MARK}"
    assert told.text == f"{OWN_ROWS} {remarks.OWN_BACKUP}"
    removed = f"O{remarks.REMOVED_BY[1:]}.".format(reservation=MARK)
    assert remarks.legend([told.mark]) == " ".join(
        [remarks.LEGENDS[OWN_ROWS_MARK], remarks.LEGENDS[MARK], remarks.RESERVATION, removed]
    )


def planned(drill):
    """Steps of a drill, as if each of them succeeded. Each action that restores a backup records which one."""
    restorers = {name for kind in map(find, known_names()) for name in kind.RESTORES_WITH}
    for phase in PHASES:
        written = [inner for step in drill.get(phase) or () for inner in step.get("parallel", [step])]
        for number, step in enumerate(written, 1):
            (name,) = [key for key in step if "." in key]
            effect = {"effect": step[name]["effect"]} if "effect" in (step[name] or {}) else {}
            yield f"{phase}.{number}", name, effect | (MADE if name in restorers else {})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_drill_that_ships_has_this_reservation(path):
    drill = yaml.safe_load(path.read_text())
    assert not ("rpo" in (drill.get("objectives") or {}) and own_commands.doubtful(steps(*planned(drill)), rpo()))


DRILL = """\
objectives: {rpo: 26h}
probes:
  - command.canary:
      host: controller
      write: [sh, -c, 'printf "%s\\n" "$1" >> DIR/canary', sh, "${record}"]
      read: [sh, -c, 'test ! -e DIR/canary || cat DIR/canary']
      remove: [sh, -c, 'test ! -e DIR/canary || sed -i "/drillbook-$1-/d" DIR/canary', sh, "${run}"]
      every: 50ms
      timeout: 1s
backup:
BACKUP  - command.run: {argv: [sh, -c, 'until test "$(wc -l < DIR/canary)" -ge 5; do sleep 0.02; done'], effect: read}
    hosts: controller
inject:
  - command.run:
      argv: [mv, DIR/orders, DIR/away]
      effect: fault
      undo: [sh, -c, "test ! -e DIR/away || mv DIR/away DIR/orders"]
      proof: [test, -e, DIR/away]
    hosts: controller
restore:
  - command.run: {argv: [sh, -c, "cp DIR/nightly DIR/orders; rm -f DIR/away"], effect: write}
    hosts: controller
verify:
  - command.run: {argv: [sh, -c, 'test "$(wc -l < DIR/orders)" -gt 1000'], effect: read}
    hosts: controller
"""
TAKE = """\
  - content.take: {service: app, of: {orders: {command: [cat, DIR/orders]}}}
    save: before
"""
COMPARE = "  - content.matches: {service: app, manifest: '{{ before.manifest }}'}\n"


def ran(folder, text, lost):
    orders = [f"order {number}\n" for number in range(1500 + lost)]
    (folder.root / "orders").write_text("".join(orders))
    (folder.root / "nightly").write_text("".join(orders[:1500]))
    folder.write(text)
    return folder.run("drill", "sample")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def audit(folder):
    folder.run("audit", "--since", "2020-01-01", "--until", "2999-12-31", "--out", "audit")
    return json.loads((folder.root / "audit" / "audit.json").read_text())


def test_rows_lost_beside_a_canary_that_lost_none_are_no_proven_recovery_point(folder):
    done = ran(folder, DRILL.replace("BACKUP", ""), lost=500)
    assert done.returncode == 0, done.stdout + done.stderr
    objective = folder.result()["objectives"]["rpo"]
    assert (objective["met"], objective["lost_writes"]) == (True, 0)
    for name in ("report.md", "report.html"):
        text = plain((folder.latest / name).read_text())
        assert RESERVED in text, name
        assert OWN_ROWS in text, name
        assert "none of the canary's" in text, name
    assert RESERVED in done.stdout
    (row,) = audit(folder)["proven"]
    assert (row["key"], row["proven"], row["reserved"], row["mark"]) == ("rpo", False, True, f" {OWN_ROWS_MARK}")
    management = plain((folder.root / "audit" / "summary.html").read_text())
    assert "canary's own rows only" in management
    assert "content.matches" in management


def test_a_comparison_before_and_after_finds_the_lost_rows_or_is_the_proof(folder):
    compared = DRILL.replace("BACKUP", TAKE) + COMPARE
    assert ran(folder, compared, lost=500).returncode == 1
    assert "content-differs" in [one["code"] for one in folder.result()["findings"]]
    done = ran(folder, compared, lost=0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert RESERVED not in plain((folder.latest / "report.md").read_text())
    (row,) = audit(folder)["proven"]
    assert (row["proven"], row["reserved"]) == (True, False)
