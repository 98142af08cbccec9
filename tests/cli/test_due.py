"""`drill.due` on the terminal and as JSON."""

import io
import json
import os
import re
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from drillbook.cli import due, due_steps
from drillbook.plan.schedule import State
from drillbook.project.due import Due
from drillbook.project.due import read as read_due
from drillbook.project.due_row import DueRow
from drillbook.project.project import Project
from drillbook.report.earlier_losses import Loss
from tests.program import PROOF, Folder, step

ROOT = Path(__file__).parents[2]
GOOD = PROOF
BAD = "restore:\n" + step(["true"]) + "verify:\n" + step(["false"])
AT = "2026-11-01T10:00:00Z"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_the_table_and_the_exit_status(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.write(GOOD, "unscheduled")
    done = folder.run("drill.due")
    assert done.returncode == 1
    assert "1 schedule: 1 never passed" in done.stdout
    assert "without a schedule (`every`): unscheduled" in done.stdout
    assert "now, every 7 d" in done.stdout
    assert "Next\n    run a drill that has never passed  drillbook drill sample\n\n1 schedule" in done.stdout
    folder.run("drill", "sample", "--quiet")
    done = folder.run("drill.due")
    assert done.returncode == 0, done.stdout
    assert "1 schedule: 1 ok" in done.stdout
    assert "Next" not in done.stdout
    assert "in 6 d" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_project_in_which_nothing_can_become_overdue_raises_the_alarm(folder):
    said = "this project has no drill, so nothing would warn: `drillbook catalog` shows drills to copy"
    for name in ("", "sample"):
        if name:
            folder.write(GOOD)
            folder.run("drill", "sample", "--quiet")
            said = "no drill or suite has a schedule, so nothing would warn: write `every: 7d` into one of their files"
        done = folder.run("drill.due")
        assert done.returncode == 1, done.stdout
        assert said in " ".join(done.stdout.split())
        done = folder.run("drill.due", "--json")
        data = json.loads(done.stdout)
        assert (done.returncode, data["exit"], data["scheduled"]) == (1, 1, False)
    folder.write("every: 7d\n" + GOOD)
    folder.run("drill", "sample", "--quiet")
    data = json.loads(folder.run("drill.due", "--json").stdout)
    assert (data["exit"], data["scheduled"]) == (0, True)


def test_an_environment_that_nothing_names_is_refused_and_an_empty_one_is_told(folder):
    folder.write("every: 7d\nguard: {environments: [staging]}\n" + GOOD)
    for more in ((), ("--json",)):
        done = folder.run("drill.due", "--environment", "stagng", *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert "no inventory, guard or run names the environment 'stagng'" in done.stderr
        assert "did you mean 'staging'? the environments are lab, staging" in done.stderr
    (folder.root / "inventory" / "qa.yml").write_text("environment: qa\n")
    done = folder.run("drill.due", "--environment", "qa")
    assert done.returncode == 0
    assert "no drill or suite that has a schedule (`every`) may run in qa" in " ".join(done.stdout.split())


def test_a_changed_schedule_is_noted_unless_the_task_is_dry(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.run("drill", "sample", "--quiet")
    record = folder.root / "reports" / "schedule.jsonl"
    folder.run("drill.due")
    assert not record.exists(), "the run recorded this schedule"
    folder.write("every: 9d\n" + GOOD)
    assert folder.run("--dry", "drill.due").returncode == 0
    assert not record.exists()
    for _ in range(2):
        assert folder.run("drill.due").returncode == 0
    (line,) = record.read_text().splitlines()
    assert (json.loads(line)["kind"], json.loads(line)["schedule"]["every"]) == ("schedule", "9d")
    record.unlink()
    record.mkdir()  # cannot be written
    done = folder.run("drill.due")
    assert (done.returncode, done.stderr) == (3, "")
    told = "schedule.jsonl cannot be read: Is a directory; so earlier schedules and retirements may be unknown"
    assert told in " ".join(done.stdout.split())
    assert done.stdout.endswith("1 schedule: 1 ok; schedule.jsonl is damaged or cannot be read\n")
    done = folder.run("drill.due", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["exit"], data["record"]) == (3, 3, "schedule.jsonl cannot be read: Is a directory")


def test_a_torn_last_line_of_the_record_is_told_and_a_damaged_one_names_its_line_and_the_next_step(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.run("drill", "sample", "--quiet")
    folder.write("every: 9d\n" + GOOD)
    assert folder.run("drill.due").returncode == 0
    record = folder.root / "reports" / "schedule.jsonl"
    whole = record.read_bytes()
    record.write_bytes(whole + whole[:90])  # the machine lost power during a write
    folder.write("every: 8d\n" + GOOD)
    for dry in (["--dry"], []):
        done = folder.run(*dry, "drill.due")
        assert done.returncode == 0, done.stdout
        assert "the last line of schedule.jsonl is incomplete and ignored" in " ".join(done.stdout.split())
        assert done.stdout.endswith("\n1 schedule: 1 ok\n")
    assert record.read_bytes().startswith(whole), "no whole line was lost"
    assert [json.loads(line)["schedule"]["every"] for line in record.read_text().splitlines()] == ["9d", "8d"]
    assert (folder.root / "reports" / f"schedule.jsonl.torn-{len(whole)}").read_bytes() == whole[:90]
    done = folder.run("drill.due", "--json")
    assert (done.returncode, json.loads(done.stdout)["record"], json.loads(done.stdout)["torn"]) == (0, "", "")
    record.write_bytes(whole[:90] + b"\n" + record.read_bytes())
    done = folder.run("drill.due")
    assert done.returncode == 3
    text = " ".join(done.stdout.split())
    assert "schedule.jsonl:1: the chain of hashes breaks; so earlier schedules" in text
    assert (
        "move the file elsewhere and keep it, then repeat earlier retirements with `drillbook schedule.retire` (see `Schedules "
        "and alarms` in the documentation)" in text
    )


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_owner_of_a_project_writes_the_record_that_a_job_of_root_made_and_hears_of_one_that_is_closed():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:  # only root can enter the folders of pytest
        folder = Folder(Path(place))
        folder.write("every: 7d\n" + GOOD)
        folder.run("drill", "sample", "--quiet")
        for path in (folder.root, *folder.root.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        folder.write("every: 9d\n" + GOOD)
        assert folder.run("metrics.write", str(folder.root / "sample.prom")).returncode == 0
        record = folder.root / "reports" / "schedule.jsonl"
        folder.write("every: 8d\n" + GOOD)
        assert [_due_as_nobody(folder.root) for _ in range(2)] == [0, 0]
        assert [json.loads(line)["schedule"]["every"] for line in record.read_text().splitlines()] == ["9d", "8d"]
        os.chown(record, 0, 0)  # as of a version that left it with root
        assert _due_as_nobody(folder.root) == 3


def _due_as_nobody(root):
    """Return the exit status of `drill.due` of an ordinary user."""
    due.show(Project(root), dry=True)  # imports all that the child needs
    child = os.fork()
    if not child:
        status = 99
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            status = int(due.show(Project(root)))
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_the_next_command_names_the_inventory_of_the_environment(folder):
    folder.write("every: 7d\nguard: {environments: [staging]}\n" + GOOD)
    text = (folder.root / "inventory" / "lab.yml").read_text()
    (folder.root / "inventory" / "staging.yml").write_text(text.replace("environment: lab", "environment: staging"))
    overdue = replace(next(row for row in read_due(Project(folder.root)).rows if row.drill), state=State.OVERDUE)
    rows = (DueRow(State.NEVER, "app", "", "staging"), overdue)
    assert due_steps.next_steps(rows, Project(folder.root)) == [
        ("run the drill that is overdue longest", "drillbook drill sample --inventory staging")
    ]


def test_what_the_usual_inventory_cannot_run_is_listed_apart_with_a_command_that_works(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.write("every: 1d\n" + GOOD.replace("app", "other"), "away")
    path = folder.root / "drills" / "away.yml"
    path.write_text(path.read_text().replace("service: app", "service: volume"))
    lab = folder.root / "inventory" / "lab.yml"
    services = "services: {app: {kind: process, host: controller}, volume: {kind: process, host: controller}}\n"
    (folder.root / "inventory" / "docker.yml").write_text(f"environment: lab\nlab: docker\n{services}")
    for missing, told in (
        ("", "the inventory docker: drillbook drill away --inventory docker"),
        ("tar", "an installation of tar, then: drillbook drill away"),
    ):
        if missing:
            (folder.root / "inventory" / "docker.yml").unlink()
            volume = f"volume: {{kind: process, host: controller, missing: {missing}}}}}"
            lab.write_text(lab.read_text().replace("controller}}", "controller}, " + volume))
        lines = folder.run("drill.due").stdout.splitlines()
        apart = lines.index("drills that need another inventory, or a service that is not installed:")
        assert next(number for number, line in enumerate(lines) if line.startswith("sample ")) < apart
        assert lines[apart + 2].startswith("away ")
        assert lines[apart + 3] == f"  needs {told}"
        assert "    run a drill that has never passed  drillbook drill sample" in lines
    (folder.root / "drills" / "sample.yml").unlink()
    last = folder.run("drill.due").stdout.splitlines()
    assert "    away needs an installation of tar, then  drillbook drill away" in last


def test_restores_come_before_other_drills_and_frequent_ones_first(folder):
    backup = "restore:\n  - files.extract: {service: app}\n"
    for name, every, steps in (
        ("a", "1d", GOOD),
        ("b", "90d", GOOD + backup.replace("restore:\n", "")),
        ("c", "30d", backup),
    ):
        folder.write(f"every: {every}\n{steps}", name)
    rows = json.loads(folder.run("drill.due", "--json").stdout)["rows"]
    assert [row["drill"] for row in rows if row["drill"]] == ["c", "b", "a"]
    assert "run a drill that restores data and has never passed  drillbook drill c" in folder.run("drill.due").stdout


def test_a_service_without_a_proof_tells_what_to_do():
    told = {row.drills: " ".join(" ".join(printed([row], 80)).split()) for row in UNPROVEN}
    assert told[()].startswith(
        "services without a drill: a (write one) or exempt a service in the inventory by `not_drilled: REASON`"
    )
    assert "the drills of this service proved no restore: look, listen" in told["look", "listen"]


def test_the_report_of_a_drill_that_failed_comes_before_its_next_run(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.write("every: 7d\n" + BAD, "wrong")
    for name in ("sample", "wrong"):
        folder.run("drill", name, "--quiet")
    done = folder.run("drill.due")
    steps = ["read why wrong failed  drillbook report.open wrong", "then run it again      drillbook drill wrong"]
    assert "Next\n    " + "\n    ".join(steps) + "\n" in done.stdout
    assert folder.run("report.open", "wrong").stdout.strip().endswith("report.html")


def test_the_next_command_is_about_a_drill_that_failed_before_one_that_was_aborted(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.write("every: 7d\n" + BAD, "wrong")
    for name in ("sample", "wrong"):
        folder.run("drill", name, "--quiet")
    (row,) = [row for row in read_due(Project(folder.root)).rows if row.drill == "wrong"]
    stopped = replace(row, drill="sample", state=State.OVERDUE, last_verdict="aborted")
    for rows in ((stopped, row), (row, stopped)):
        assert due_steps.next_steps(rows, Project(folder.root))[0][0] == "read why wrong failed"
    assert due_steps.next_steps([stopped], Project(folder.root))[0][0] == "read why sample was aborted"
    untried = replace(row, last_verdict="")
    assert due_steps.next_steps([untried, row], Project(folder.root))[0][0] == "run a drill that has never passed"


def test_the_last_line_counts_every_service_without_a_proven_restore(folder):
    folder.write("every: 7d\n" + GOOD)
    path = folder.root / "inventory" / "lab.yml"
    more = "more: {kind: process, host: controller}, spare: {kind: process, host: controller, not_drilled: a spare}"
    path.write_text(path.read_text().replace("app: {", f"{more}, app: {{"))
    ended = "; {} without a proven restore\n"
    told = folder.run("drill.due").stdout
    assert told.endswith(ended.format("2 services")), "the drill of one has never passed"
    assert "\nservices without a proven restore: app, more\n" in told
    found = json.loads(folder.run("drill.due", "--json").stdout)
    named = [{"environment": "lab", "service": name} for name in ("app", "more")]
    assert (found["unproven"], found["unproven_services"]) == (2, named)
    folder.run("drill", "sample", "--quiet")
    told = folder.run("drill.due").stdout
    assert told.endswith(ended.format("1 service"))
    assert "\nservices without a proven restore: more\n" in told


def test_the_services_without_a_proven_restore_are_named_with_their_environments_if_there_are_several():
    rows = [replace(UNPROVEN[0], service=f"s{number}", environment="lab") for number in range(9)]
    assert "services without a proven restore: s0, s1, s2, s3, s4, s5 and 3 more" in printed(rows, 100)
    assert "services without a proven restore: s0, s1, s2, s3, s4, s5, s6, s7, s8" in printed(rows, 100, everything=True)
    both = [replace(UNPROVEN[0], environment="lab"), replace(UNPROVEN[0], environment="live")]
    assert "services without a proven restore: a in lab, a in live" in printed(both, 100)
    lines = printed(both[:1], 100, of_drills=(("lab", "cache"), ("live", "site")))
    assert "services without a proven restore: a in lab" in lines
    assert "proven only with backups of drills, so no routine backup: cache in lab, site in live" in lines


def test_a_run_that_was_recovered_later_says_so():
    later = "recovered later at 2026-01-02T10:00:00Z by ann"
    row = DueRow(State.OVERDUE, "api", "api-down", "lab", passed=AT, last_verdict="failed", last_recovered=later)
    assert later in printed([row], 100)[2]


def test_a_passed_run_with_open_findings_is_marked_although_it_is_ok():
    row = DueRow(State.OK, "api", "api-down", "lab", passed=AT, last_verdict="passed", last_findings="1 high finding")
    lines = printed([row], 100)
    assert " passed ! " in lines[1]
    assert lines[2] == "  ! 1 high finding open: drillbook report.open api-down"


def test_a_project_without_an_inventory_says_so_and_how_to_make_one(folder):
    folder.write("every: 7d\n" + GOOD)
    (folder.root / "inventory" / "lab.yml").unlink()
    done = folder.run("drill.due")
    assert "this project has no inventory, so first make an inventory  drillbook init FOLDER" in done.stdout
    done = folder.run("diagnose", "app")
    assert done.returncode == 2
    assert f"this project has no inventory: {folder.root / 'inventory'} contains none" in done.stderr
    assert "drillbook init FOLDER" in done.stderr


def test_json(folder):
    folder.write("every: 7d\n" + GOOD)
    done = folder.run("drill.due", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["exit"], data["rows"][0]["drill"]) == (1, 1, "sample")


def test_a_file_that_cannot_be_read_ends_with_3(folder):
    path = folder.root / "inventory" / "lab.yml"
    path.write_text(path.read_text().replace("kind: process", "kind: process, not_drilled: a sample"))
    (folder.root / "drills" / "broken.yml").write_text("drill: [")
    done = folder.run("drill.due")
    assert done.returncode == 3
    assert "broken.yml:2:1:" in done.stdout


def test_a_run_records_its_schedule(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.run("drill", "sample", "--quiet")
    first = json.loads((folder.latest / "journal.jsonl").read_text().splitlines()[0])
    assert first["data"]["schedule"] == {"every": "7d", "grace": "1008m", "windows": []}


UNPROVEN = (DueRow(State.NEVER, "a", "", "lab"), DueRow(State.NEVER, "b", "", "lab", drills=("look", "listen")))
LONG = "connections-exhausted-by-a-pool-that-leaks"
ROWS = (
    DueRow(State.OVERDUE, "database", LONG, "staging", last_verdict="failed", passed="2026-10-01T10:00:00Z", overdue_s=9e5),
    DueRow(State.NEVER, "database, cache, originals, api", "quarterly", "", suite=True, every="90d"),
    DueRow(State.NEVER, "backups", "", "staging"),
    DueRow(State.OK, "database, cache", "rehearsal", "staging", suite=True, passed="2026-11-01T10:00:00Z", until_due_s=9e5),
)


def printed(rows, width, unread=(), of_drills=(), **options):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    unproven = tuple((row.environment, row.service) for row in rows if not row.drill and row.state is State.NEVER)
    states = Due(datetime(2026, 11, 29, tzinfo=UTC), tuple(rows), unread=unread, unproven=unproven, of_drills=of_drills)
    due._print(states, console, **options)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_a_name_is_never_broken_or_cut(width):
    lines = printed(ROWS, width)
    for name in (LONG, "quarterly (suite)", "rehearsal (suite)"):
        assert sum(line == name or line.startswith(f"{name} ") for line in lines) == 1
    assert max(len(line) for line in lines if line != LONG) <= width
    assert " services without a drill: backups (write one) or exempt " in " ".join(" ".join(lines).split())
    assert " ".join(lines).endswith("3 schedules: 1 overdue, 1 never passed, 1 ok; 1 service without a proven restore")


def test_eighty_columns_show_the_services_of_a_suite_below_it_unless_all_is_well():
    rows = [DueRow(State.OVERDUE, "database", "connections-exhausted", "staging", last_verdict="failed"), *ROWS[1:]]
    lines = printed(rows, 80)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["drill", "service", "state", "last", "passed", "due"]
    assert lines[5].startswith("rehearsal (suite)      2 services  ok ")
    assert lines[2:5:2] == ["  in staging, last run failed", "  database, cache, originals, api"]


@pytest.mark.parametrize(("width", "line"), [(150, "passed ‖"), (60, "ok ‖")])
def test_a_narrow_table_shows_the_marks_of_the_last_run_beside_the_state(width, line):
    row = DueRow(
        State.OK, "cache", "routine-cache", "lab", passed=AT, until_due_s=9e5, last_verdict="passed", last_marks="‖"
    )
    lines = printed([row], width)
    assert ("last run" in lines[0]) == (width == 150)
    assert line in lines[1]
    assert lines[1].count("‖") == 1
    assert "‖ passed, but restored a backup taken by a drill or during one" in " ".join(lines)


def test_a_drill_that_never_ran_is_not_red_beside_one_that_did_not_pass():
    never = DueRow(State.NEVER, "api", "new", "", every="7d")
    rows = [never, replace(never, drill="bad", last_verdict="failed")]
    state = next(column for column in due._columns(rows) if column.head == "state")
    assert [str(cell.style) for cell in state.cells] == ["yellow", "bold red"]


def test_a_wide_terminal_shows_everything_on_one_line():
    lines = printed(ROWS[:1], 150)
    assert lines[1].split() == [
        LONG,
        "database",
        "staging",
        "overdue",
        "2026-10-01",
        "10:00",
        "failed",
        "overdue",
        "10",
        "d",
    ]
    assert len(lines) == 3


def test_two_environments_keep_their_column():
    rows = [DueRow(State.OK, "api", "api-down", place, passed="2026-11-01T10:00:00Z") for place in ("staging", "production")]
    assert all(place in line for place, line in zip(("staging", "production"), printed(rows, 80)[1:3], strict=True))


def test_the_most_urgent_rows_come_first_and_what_cannot_run_here_apart():
    away = DueRow(State.DUE, "api", "away", "staging", needs="the inventory docker", inventory="docker")
    names = [line.split()[0] for line in printed([*ROWS, away], 150) if line and not line.startswith(" ")]
    assert names[:4] == ["drill", LONG, "quarterly", "rehearsal"]
    assert names[4:7] == ["drills", "drill", "away"]


MANY = (
    *(replace(ROWS[0], drill=f"late-{number}", overdue_s=1e6 - number) for number in range(4)),
    *(DueRow(State.NEVER, "api", f"new-{number}", "", every="90d") for number in range(5)),
    *(DueRow(State.DUE, "api", f"soon-{number}", "staging", passed=AT) for number in range(3)),
    *(DueRow(State.OK, "api", f"fine-{number}", "staging", passed=AT, until_due_s=864e3 + number) for number in range(20)),
)


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_table_shows_what_is_urgent_and_counts_the_rest(width):
    lines = printed(MANY, width)
    names = [line.split()[0] for line in lines[1:] if re.match(r"(late|new|soon|fine)-", line)]
    assert names == [row.drill for row in MANY[: len(names)]]
    assert len(names) >= 6
    assert len(lines) <= 15
    text = " ".join(" ".join(lines).split())
    assert "20 ok (first due: fine-0 in 10 d); all: drillbook drill.due --all" in text
    assert lines[-1] == "32 schedules: 4 overdue, 5 never passed, 3 due, 20 ok"
    full = printed(MANY, width, everything=True)
    assert [name for row in MANY if not any(line.startswith(f"{(name := row.drill)} ") for line in full)] == []
    assert "not listed" not in " ".join(full)


def test_text_below_a_long_table_makes_it_shorter_so_that_its_head_stays_on_the_terminal():
    """A terminal of 24 lines has 23 for the output, and one for the prompt."""
    unread = tuple(f"inventory/part-{number}.yml: not readable" for number in range(12))
    lines = printed(MANY, 80, unread=unread)
    assert len(lines) == 23
    assert lines[0].split()[:2] == ["drill", "service"]
    assert [line.split()[0] for line in lines[1:] if line.startswith("late-")] == ["late-0", "late-1", "late-2"]
    assert len(printed(MANY, 80, everything=True, unread=unread)) > 40


@pytest.mark.parametrize("unread", [0, 8, 12])
def test_the_most_urgent_row_is_shown_although_it_is_high_and_loses_lines_if_there_is_no_room(unread):
    name, services = (
        "quarterly-of-all-services",
        "database, cache, originals, api, guestbook, vectors, site, shop, backups, mail",
    )
    high = DueRow(
        State.OVERDUE,
        services,
        name,
        "staging",
        suite=True,
        last_verdict="aborted",
        last_findings="1 critical, 12 high and 3 medium findings",
        last_lost="at least 118823 rows lost and at least 17 keys lost",
        last_name=f"{name}-01a9",
        last_recovered="recovered 2026-12-01 13:43 UTC by somebody-on-duty@controller.example.com",
        earlier_losses=(Loss(f"20261201T225043.052Z-{name}-02b8", AT, "at least 118822 rows lost"),) * 2,
        overdue_s=2e6,
    )
    broken = tuple(f"inventory/part-{number}.yml: not readable" for number in range(unread))
    lines = printed([high, *MANY], 80, unread=broken)
    assert lines[1].startswith(f"{name} (suite) ")
    assert len(lines) <= 23
    commands = [
        line for line in lines if line.strip().startswith("drillbook report.open ") or ": drillbook report.open" in line
    ]
    assert commands, "a line with a command is the last that is left out"
    text = " ".join(" ".join(lines).split())
    cut = re.search(rf"not listed: (\d) lines? of {name}", text)
    assert bool(cut) is (unread == 12), text


def test_a_long_table_of_drills_that_are_all_fine_is_one_line():
    lines = printed(MANY[-20:], 80)
    assert lines == [
        "not listed: 20 ok (first due: fine-0 in 10 d); all: drillbook drill.due --all",
        "20 schedules: 20 ok",
    ]


def test_the_rest_of_a_long_table_names_the_drill_that_restored_no_routine_backup():
    routine = DueRow(
        State.OK, "cache", "routine-cache", "lab", passed=AT, until_due_s=6 * 864e2, last_verdict="passed", last_marks="‖"
    )
    text = " ".join(" ".join(printed([*MANY[:12], routine, *MANY[-2:]], 80)).split())
    assert "1 ok with no routine backup (first due: routine-cache in 6 d), 2 ok (first due: fine-18 in 10 d); all: " in text


@pytest.mark.parametrize("task", ["drill.due", "drill.list"])
def test_a_project_with_all_shipped_drills_fits_on_a_small_terminal_and_json_stays_complete(folder, task):
    shutil.rmtree(folder.root / "drills")
    shutil.copytree(ROOT / "drills", folder.root / "drills")
    shutil.copytree(ROOT / "inventory", folder.root / "inventory", dirs_exist_ok=True)
    done, full = folder.run(task), folder.run(task, "--all")
    assert len(done.stdout.splitlines()) <= 20
    assert f"; all: drillbook {task} --all" in done.stdout
    assert len(full.stdout.splitlines()) > 40
    assert done.returncode == full.returncode == (task == "drill.due")
    rows = [json.loads(folder.run(task, "--json", *more).stdout) for more in ([], ["--all"])]
    named = [sorted(one.get("drill") or one["name"] for one in data.get("rows") or data["drills"]) for data in rows]
    assert named[0] == named[1]
    assert len(named[0]) > 30


def test_red_is_kept_for_what_ran():
    now = datetime(2026, 11, 29, tzinfo=UTC)
    never = DueRow(State.NEVER, "api", "new", "", every="7d")
    assert due._summary_style(Due(now, (never, *UNPROVEN))) == "bold yellow"
    assert due._summary_style(Due(now, (replace(never, last_verdict="failed"),))) == "bold red"
    assert due._summary_style(Due(now, (ROWS[0],))) == "bold red"
    assert due._summary_style(Due(now, (ROWS[-1],))) == "bold"
    assert [due._style(row) for row in UNPROVEN] == ["yellow", "yellow"]
    assert due._style(replace(never, last_verdict="aborted")) == "yellow", "an own Ctrl-C is no failure"
