"""Dry run and approvals as an operator uses them: output, no contact with hosts, and the exit status."""

import inspect
import io
import json
import os
import pwd
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from drillbook.cli import show_plan
from drillbook.project.project import Project
from drillbook.sdk.action import Effect, Fault, find, known_names
from tests.needs import need
from tests.program import VERIFY, Folder, fault, here, step

BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])
PRODUCTION = "environment: production\nservices: {app: {kind: process, host: controller}}\napprovers: approvers\n"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def told(done):
    return " ".join(done.stdout.split())


def test_a_dry_run_shows_guard_lease_locks_and_undo(folder):
    folder.write(
        """\
guard:
  windows: [{from: "00:00", to: "24:00", zone: Asia/Shanghai}]
  max_hosts: 1
  abort_if:
    - command.run: {argv: ["true"], effect: read}
      hosts: controller
      name: The office is quiet
      for: 5s
  hosts: controller
  lease: 45s
"""
        + BREAK
        + "    name: Break it\nrestore:\n"
        + step(["rm", "-f", "DIR/broken"])
    )
    done = folder.run("drill.plan", "sample")
    assert done.returncode == 0, done.stdout
    text = told(done)
    assert "inject.1 command.run Break it" in text
    assert "may begin every day 00:00 to 24:00 Asia/Shanghai" in text
    assert "faults hit at most 1 of all hosts" in text
    assert "The office is quiet: command.run on controller (every 1 s; bad for 5 s, or 3 checks without an answer)" in text
    assert "when one of these hosts is unreachable twice in a row: controller" in text
    assert "locks app (process-app) on controller" in text
    assert "controller: undoes faults by itself 45 s after the last contact with the controller" in text
    assert "also by its lease, after 45 s without renewal" in text
    assert "no run yet" in text
    assert re.search(r"Next check the preconditions \S.* drill\.check sample run it \S.* drill sample$", text)
    assert not (folder.root / "reports" / "latest").exists()
    made = json.loads(folder.run("drill.plan", "sample", "--json").stdout)
    assert made["digest"] in done.stdout
    assert made["steps"][0]["undo"] == {"kinds": ["commands"], "text": f"rm -f {folder.root}/broken", "lease_s": 45.0}
    assert made["steps"][0]["estimate"] == {"seconds": None, "runs": 0}
    assert made["locks"] == [{"name": "process-app", "host": "controller", "services": ["app"]}]
    assert "`boot: none` in the inventory" in made["reboot"]["controller"]
    assert made["refusals"] == []
    assert made["guard"]["conditions"][0]["for_s"] == 5.0


def test_lines_fit_a_narrow_terminal():
    project = Project(Path(__file__).parents[2])
    for name in ("api-down", "postgres-lost"):
        (one,) = show_plan._plans(project, name, "lab")[1]
        out = Console(width=80, file=io.StringIO())
        show_plan._View(one, show_plan.Earlier(), None, datetime.now(UTC)).show(out)
        lines = out.file.getvalue().splitlines()
        assert max(map(len, lines)) <= 80
        assert one.digest in out.file.getvalue()


def test_how_long_it_took_before(folder):
    folder.write("restore:\n" + step(["sleep", "0.1"]))
    results = []
    for number, seconds in enumerate((1.0, 5.0, 30.0)):
        run = folder.root / "reports" / f"20260101T00000{number}.000Z-sample-0000"
        run.mkdir(parents=True)
        step_ = {"id": "restore.1", "action": "command.run", "host": "controller", "status": "done", "seconds": seconds}
        other = {**step_, "id": "verify.1", "status": "failed"}
        results.append(
            {
                "drill": "sample",
                "verdict": "passed",
                "started": "2026-01-01T00:00:00.000000Z",
                "finished": f"2026-01-01T00:00:{int(seconds):02}.500000Z",
                "steps": [step_, other],
            }
        )
        (run / "result.json").write_text(json.dumps(results[-1]))
    for name, text in (
        ("20260102T000000.000Z-sample-0000", "torn {"),
        ("20260103T000000.000Z-sample-0000", json.dumps({**results[0], "verdict": "refused"})),
        ("20260104T000000.000Z-not-sample-0000", json.dumps({**results[0], "drill": "not-sample"})),
    ):
        (folder.root / "reports" / name).mkdir()
        (folder.root / "reports" / name / "result.json").write_text(text)
    done = folder.run("drill.plan", "sample")
    assert "earlier runs took 5.5 s (median of 3 runs)" in told(done)
    assert "; earlier runs took 5.0 s verify" in told(done)
    assert told(done).count("median of 3 runs") == 1, "each step repeats the number of runs"
    assert "\n\n\n" not in done.stdout
    made = json.loads(folder.run("drill.plan", "sample", "--json").stdout)
    assert made["estimate"] == {"seconds": 5.5, "runs": 3}
    assert [one["estimate"]["runs"] for one in made["steps"]] == [3, 0], "a step that failed tells nothing"
    for number in range(2):
        (folder.root / "reports" / f"20260101T00000{number}.000Z-sample-0000" / "result.json").unlink()
    once = told(folder.run("drill.plan", "sample"))
    assert "; took 30 s last time" in once
    assert "time unknown: no run yet" in once
    assert "earlier runs took" not in once


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("{environments: [staging]}", "may not run in this environment: lab; wanted: staging"),
        ("{approval: true}", "the inventory names no approvers"),
    ],
)
def test_a_plan_that_would_be_refused_is_shown_and_exits_4(folder, rules, why):
    folder.write(f"guard: {rules}\nrestore:\n" + step(["true"]))
    done = folder.run("drill.plan", "sample")
    assert done.returncode == 4
    assert "restore.1" in done.stdout
    assert why in told(done)
    done = folder.run("drill.plan", "sample", "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["refusals"]


def test_a_reboot_that_was_accepted_is_told(folder):
    (folder.root / "inventory" / "lab.yml").write_text(
        "environment: lab\nhosts: {app-1: {address: 192.0.2.1, lease: {boot: none}}}\n"
        "services: {app: {kind: process, host: app-1}}\n"
    )
    folder.write(BREAK.replace("hosts: controller", "hosts: app-1"))
    text = told(folder.run("drill.plan", "sample"))
    assert "app-1: undoes faults by itself 30 s" in text
    assert "after a reboot the fault stays until `drillbook drill.recover`" in text


@pytest.mark.parametrize("name", ["rehearse-cache", "rehearse-database"])
def test_a_rehearsal_speaks_of_its_sandbox_and_of_no_fault(name):
    """It injects no fault, so a reader must not fear one."""
    project, out = Project(Path(__file__).parents[2]), io.StringIO()
    (plan,) = show_plan._plans(project, name, "lab")[1]
    show_plan._View(plan, show_plan.Earlier(), None, datetime.now(UTC), asked=False).show(Console(file=out, width=300))
    text = " ".join(out.getvalue().split())
    assert "db-2: removes the sandbox by itself 30 s after the last contact with the controller" in text
    assert "after a reboot the sandbox stays until `drillbook drill.recover`" in text
    assert "undoes faults" not in text
    assert "the fault stays" not in text


def test_an_approval_from_the_command_line(folder):
    need("ssh-keygen")
    key = folder.root / "alice"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (folder.root / "inventory" / "prod.yml").write_text(PRODUCTION)
    (folder.root / "inventory" / "approvers").write_text("alice@example.com " + key.with_suffix(".pub").read_text())
    folder.environment |= {"LOGNAME": "olga", "DRILLBOOK_OPERATOR": "olga@example.com"}
    folder.write("guard: {environments: [production]}\nrestore:\n" + step(["true"]))
    planned = folder.run("drill.plan", "sample", "--inventory", "prod")
    assert planned.returncode == 4
    assert "needs --confirm production and an approval" in told(planned)
    assert "invoke drill.approve sample" in told(planned)
    done = folder.run("drill.approve", "sample", "--inventory", "prod", "--until", "2h", "--key", str(key))
    assert done.returncode == 0, done.stderr
    assert "alice@example.com approves sample on production until" in told(done)
    assert "restore.1" in done.stdout, "who approves sees what"
    assert len(list((folder.root / "approvals").iterdir())) == 2
    planned = folder.run("drill.plan", "sample", "--inventory", "prod")
    assert planned.returncode == 0
    assert "approved by alice@example.com until" in told(planned)
    folder.environment["DRILLBOOK_OPERATOR"] = "alice@laptop"
    assert "two persons" in told(folder.run("drill.plan", "sample", "--inventory", "prod"))


def key_of(folder, name):
    need("ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder.root / name], check=True)
    return str(folder.root / name)


def approved(folder, principal, key):
    """Drill in a protected environment of the inventory, approved by ``principal``."""
    (folder.root / "inventory" / "live.yml").write_text(
        PRODUCTION.replace("environment: production", f"environment: live\nprotected: yes\nhosts: {{{here(folder.root)}}}")
    )
    (folder.root / "inventory" / "approvers").write_text(f"{principal} " + Path(f"{key}.pub").read_text())
    folder.write("guard: {environments: [live]}\nrestore:\n" + step(["touch", "DIR/ran"]))
    done = folder.run("drill.approve", "sample", "--inventory", "live", "--until", "2h", "--key", key)
    assert done.returncode == 0, done.stderr


def test_who_approves_cannot_run_it_under_another_login_name(folder):
    """LOGNAME can be set to any value; the account is the one that the kernel reports."""
    me = pwd.getpwuid(os.getuid()).pw_name
    approved(folder, f"{me}@example.com", key_of(folder, "mine"))
    folder.environment |= {
        "LOGNAME": "olga",
        "USER": "olga",
        "DRILLBOOK_OPERATOR": "olga@example.com",
        "DRILLBOOK_SIGNING_KEY": key_of(folder, "olgas"),
    }
    done = folder.run("drill", "sample", "--inventory", "live", "--confirm", "live")
    assert (done.returncode, "approval-by-operator" in (folder.latest / "result.json").read_text()) == (4, True), done.stdout
    assert not (folder.root / "ran").exists()


def test_the_key_that_approved_a_run_does_not_sign_it(folder):
    key = key_of(folder, "mine")
    approved(folder, "alice@example.com", key)
    folder.environment |= {"DRILLBOOK_OPERATOR": "olga@example.com", "DRILLBOOK_SIGNING_KEY": key}
    planned = folder.run("drill.plan", "sample", "--inventory", "live")
    assert (planned.returncode, "the same key signs this run" in told(planned)) == (4, True), planned.stdout
    assert folder.run("drill", "sample", "--inventory", "live", "--confirm", "live").returncode == 4
    assert not (folder.root / "ran").exists()
    folder.environment["DRILLBOOK_SIGNING_KEY"] = key_of(folder, "olgas")
    assert folder.run("drill", "sample", "--inventory", "live", "--confirm", "live").returncode == 0
    assert (folder.root / "ran").exists()
    assert folder.run("report.verify").returncode == 0
    first = json.loads((folder.latest / "journal.jsonl").read_text().splitlines()[0])
    assert first["data"]["account"].startswith(pwd.getpwuid(os.getuid()).pw_name)
    public = Path(f"{folder.environment['DRILLBOOK_SIGNING_KEY']}.pub").read_text()
    (folder.root / "inventory" / "allowed_signers").write_text(f"olga@example.com {public}")
    before = (folder.latest / "attestation.json").read_bytes()
    folder.environment["DRILLBOOK_SIGNING_KEY"] = key  # the approver renders the plan before the approval
    assert folder.run("report").returncode == 0
    assert (folder.latest / "attestation.json").read_bytes() == before
    assert folder.run("report.verify").returncode == 0, "by the operator's key, as before"


def test_a_check_that_ran_commands_of_the_project_does_not_say_that_nothing_was_changed(folder):
    folder.write("restore:\n" + step(["true"]))
    assert "nothing was changed" in told(folder.run("drill.check", "sample"))
    path = folder.root / "inventory" / "lab.yml"
    path.write_text(
        path.read_text().replace(
            "controller}}",
            "controller}, cache: {kind: redis, host: controller, password: !command [sh, -c, 'echo kept-$((40+2))']}}",
        )
    )
    handed = (
        "  - command.run: {argv: ['true'], effect: read, env: {P: '{{ services.cache.password }}'}}\n    hosts: controller\n"
    )
    folder.write("ready:\n" + step(["touch", "DIR/ran"]) + "restore:\n" + handed)
    assert folder.run("trust", "--yes").returncode == 0
    done = folder.run("drill.check", "sample")
    assert (folder.root / "ran").exists(), done.stdout + done.stderr
    assert "nothing was changed" not in told(done)
    assert "ran commands of the project: command.run (ready.1), !command ['sh', '-c', 'echo kept-$((40+2))']" in told(done)


@pytest.mark.parametrize("environment", ["生产", "prd", "live"])
def test_an_environment_of_any_other_word_says_if_it_is_protected(folder, environment):
    (folder.root / "inventory" / "lab.yml").write_text(
        f"environment: {environment}\nhosts: {{{here(folder.root)}}}\nservices: {{app: {{kind: process, host: controller}}}}\n"
    )
    folder.write(f"guard: {{environments: [{environment}]}}\nrestore:\n" + step(["touch", "DIR/ran"]))
    done = folder.run("drill", "sample")
    assert (done.returncode, "lab.yml:1:14" in done.stderr, "`protected: yes`" in done.stderr) == (2, True, True), (
        done.stderr
    )
    assert not (folder.root / "ran").exists()


@pytest.mark.parametrize(("until", "why"), [("soon", "not a duration"), ("31d", "30 days"), ("0s", "30 days")])
def test_an_approval_for_no_time_at_all(folder, until, why):
    folder.write("restore:\n" + step(["true"]))
    done = folder.run("drill.approve", "sample", "--until", until)
    assert done.returncode == 2
    assert why in done.stderr


def test_every_fault_says_how_it_is_undone_without_a_host():
    for name in known_names():
        action = find(name)
        if issubclass(action, Fault) and not action.RESTORE_ONLY:
            assert action.undo_kinds(), f"{name}: name the kinds of its undo in UNDO"


def test_an_undo_by_an_action_names_it_without_a_host():
    for name in known_names():
        action = find(name)
        declared = getattr(action, "UNDO_ACTIONS", ())
        assert bool(declared) == ("action" in action.undo_kinds()), f"{name}: name the actions of its undo in UNDO_ACTIONS"
        text = inspect.getsource(inspect.getmodule(action))
        assert not [other for other in declared if f'"{other}"' not in text.replace("UNDO_ACTIONS", "", 1)]
        assert all(find(other) for other in declared)


def test_every_shipped_drill_can_be_shown():
    project = Project(Path(__file__).parents[2])
    for name in project.drill_names():
        for one in show_plan._plans(project, name, "lab")[1]:
            assert one.digest
            undos = [show_plan.undo_of(each).text for each in one.steps]
            assert all(undos)
            assert not [text for text in undos if "changes nothing" in text]


def test_the_undo_of_a_shipped_step_is_told_as_its_effect():
    project = Project(Path(__file__).parents[2])
    (plan,) = show_plan._plans(project, "postgres-lost", "lab")[1]
    told = {step.id: show_plan.undo_of(step).text for step in plan.steps}
    assert told["backup.1"] == "nothing: the backup is kept"
    assert not [text for text in told.values() if "return" in text.lower()]
    (plan,) = show_plan._plans(project, "table-dropped", "lab")[1]
    (step,) = [step for step in plan.steps if step.action == "postgres.restore_table"]
    assert show_plan.undo_of(step) == show_plan.Undo(
        ("action",), False, "lets clients write to the restored table again (by postgres.admit_table)"
    )
    opened = step.model_copy(update={"params": {**step.params, "closed": False}})
    assert show_plan.undo_of(opened).text == "nothing: the step sets no `closed`"
    later = step.model_copy(update={"params": {**step.params, "closed": "{{ dump.closed }}"}})
    assert show_plan.undo_of(later).text == "lets clients write to the restored table again; otherwise nothing"


def test_a_plan_tells_that_a_command_declares_no_undo():
    project = Project(Path(__file__).parents[2])
    (plan,) = show_plan._plans(project, "postgres-lost", "lab")[1]
    step = plan.steps[0].model_copy(
        update={"action": "command.script", "effect": Effect.WRITE, "params": {"path": "/srv/a", "effect": "write"}}
    )
    assert show_plan.undo_of(step).text == "nothing: the step sets no `undo`"


ONLY_RECOVERED = "if the controller dies, nothing on this host undoes inject.1: `drillbook drill.recover` restores it"


def test_a_fault_that_reaches_its_service_from_the_controller_is_told_for_the_host_of_the_service():
    plan = show_plan._plans(Project(Path(__file__).parents[2]), "table-dropped", "lab")[1][0]
    assert plan.phase("inject")[0].hosts == ("controller",)
    view = show_plan._View(plan, show_plan.Earlier(), None, datetime.now(UTC), asked=False)
    assert view._without_controller() == {"db-1": ONLY_RECOVERED}


@pytest.mark.parametrize("name", ["postgres-lost", "rpo-compare"])
def test_a_host_does_not_claim_to_undo_what_only_a_restore_undoes(name):
    """A host that runs `backup.restore` has a timer, which ends the restore, but does not give the lost data back."""
    project, out = Project(Path(__file__).parents[2]), io.StringIO()
    (plan,) = show_plan._plans(project, name, "lab")[1]
    steps = tuple(
        step.model_copy(update={"hosts": ("db-1",)}) if step.action == "backup.restore" else step for step in plan.steps
    )
    plan = plan.model_copy(update={"steps": steps})
    show_plan._View(plan, show_plan.Earlier(), None, datetime.now(UTC), asked=False).show(Console(file=out, width=200))
    text = " ".join(out.getvalue().split())
    assert f"db-1: {ONLY_RECOVERED}" in text
    assert "undoes faults by itself" not in text
    assert ("undoes restore.3, restore.4 by itself 30 s after the last contact" in text) is (name == "rpo-compare")


@pytest.mark.parametrize("task", ["drill.plan", "drill.check", "drill", "runbook"])
def test_names_that_the_inventory_does_not_have_are_told_with_the_other_mistakes(folder, task):
    folder.write("objectves: {}\nowner: nobody\n" + VERIFY)
    done = folder.run(task, "sample")
    assert done.returncode == 2
    assert "unknown key 'objectves'" in done.stderr
    assert "there is no contact 'nobody' in the inventory" in done.stderr
