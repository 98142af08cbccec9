"""The program in terminals and pipelines: exit statuses, streams, mistakes, and terminals that close."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from drillbook.attestation import anchor_places
from drillbook.cli.program import program
from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from tests.program import PROGRAM, Folder, fault, here, step


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])
UNDOABLE = fault(["touch", "DIR/broken"], ["false"], ["test", "-e", "DIR/broken"])
VERDICTS = {
    "passed": (0, "passed", BREAK + "restore:\n" + step(["rm", "-f", "DIR/broken"])),
    "failed": (1, "failed", BREAK + "restore:\n" + step(["false"])),
    "inconclusive": (3, "inconclusive", "verify:\n" + step(["true"], "expect: result.nothing == 1")),
    "refused": (4, "refused", "guard: {environments: [staging]}\n" + BREAK + "restore:\n" + step(["true"])),
    "residue": (5, "failed", UNDOABLE + "restore:\n" + step(["false"])),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_each_verdict(folder, name):
    status, verdict, text = VERDICTS[name]
    folder.write(text)
    done = folder.run("drill", "sample", "--json")
    agree(folder, done.stdout, done.returncode, status, verdict)
    assert done.stderr == ""


def test_the_verdict_aborted(folder):
    folder.write(BREAK + "restore:\n" + step(["sleep", "30"]))
    lines = []
    with folder.start("drill", "sample", "--json", stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            lines.append(line)
            if json.loads(line)["kind"] == "step.started" and json.loads(line)["step"] == "restore.1":
                program.send_signal(signal.SIGINT)
    assert program.returncode == 4
    agree(folder, "".join(lines), 4, 4, "aborted")
    assert not (folder.root / "broken").exists()


def agree(folder, stdout, returned, status, verdict):
    """Exit status, result, JUnit and the last line of the JSON output agree."""
    events = [json.loads(line) for line in stdout.splitlines()]
    result = folder.result()
    assert (returned, result["exit"], result["verdict"]) == (status, status, verdict), result["reason"]
    assert events[0]["kind"] == "run.started"
    assert events[-2]["kind"] == "run.finished"
    assert events[-1] == {"kind": "result", "data": result}
    journal = [json.loads(line) for line in (folder.latest / "journal.jsonl").read_text().splitlines()]
    assert sorted(events[:-1], key=lambda event: event["seq"]) == journal
    suite = ElementTree.parse(folder.latest / "junit.xml").getroot()
    bad = [one for kind in ("failure", "error") for one in suite.iter(kind)]
    assert bool(bad) == (status in (1, 3, 5)) or verdict in ("refused", "aborted"), "JUnit"
    if status == 0:
        assert not bad


def test_a_suite_that_left_nothing_in_place_is_not_recovered_by_name(folder):
    for name in ("sample", "second"):
        folder.write("", name)
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample, second]\n")
    assert folder.run("drill", "all").returncode == 0
    suite = folder.latest.name
    for options in (["--from-backup"], ["--settled", "--reason", "gone"]):
        done = folder.run("drill.recover", suite, *options)
        assert done.returncode == 2
        said = " ".join(done.stderr.split())
        assert f"{suite} is a suite, and no drill of it left changes in place" in said
        assert "none" not in said


def test_a_suite_as_json(folder):
    folder.write(BREAK + "restore:\n" + step(["rm", "DIR/broken"]))
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    done = folder.run("drill", "all", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["data"]["suite"] == "all"


def test_quiet_says_the_verdict_and_the_findings(folder):
    folder.write("restore:\n" + step(["false"]))
    done = folder.run("drill", "sample", "--quiet")
    assert done.returncode == 1
    lines = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    assert lines[0].startswith("✗ FAILED  A sample") or "FAILED" in lines[0]
    assert "Findings" in lines[1]
    assert not any("Objectives" in line or "Phases" in line for line in lines)
    folder.write("restore:\n" + step(["true"]))
    assert len(folder.run("drill", "sample", "--quiet").stdout.splitlines()) == 1


def test_plain_lines_without_a_terminal_and_what_to_do_next(folder):
    folder.write("restore:\n" + step(["sh", "-c", "printf '\\033[2Jgone' >&2; exit 3"], "name: Bring it back"))
    done = folder.run("drill", "sample")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "✗ Bring it back" in done.stdout
    assert "run the drill again after the problem is corrected  drillbook drill sample" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_answer_to_manual_steps(folder):
    folder.write("restore:\n" + step(["sh", "-c", "echo $DRILLBOOK_ASSUME > DIR/said"]))
    assert folder.run("drill", "sample", "--assume", "no").returncode == 0
    assert (folder.root / "said").read_text() == "no\n"
    assert folder.run("drill", "sample", "--assume", "perhaps").returncode == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["drill", "--foo"], "error: drill has no option --foo: its options: --assume"),
        (["dril", "sample"], "error: there is no task 'dril': did you mean 'drill'?\n  hint: drillbook --list"),
        (["drill", "sample", "--foo"], "--foo"),
        (["drill", "--inventry", "lab", "sample"], "has no option --inventry: did you mean --inventory?"),
        (["--foo", "drill", "sample"], "the program has no option --foo"),
        (["--print-completion-script", "tcsh"], "tcsh"),
        (["drill"], "the name of a drill or suite is missing"),
        (["drill.plan"], "the name of a drill or suite is missing"),
        (["drill.check"], "the name of a drill or suite is missing"),
        (["nonsense"], "nonsense"),
        (["drill", "sampel"], "did you mean"),
        (["drill", "sample", "--inventory"], "inventory"),
        (["schema"], "the name of the schema is missing"),
        (["drill", "sample", "--inventory", "lba"], "did you mean"),
        (["audit", "--since", "2026-13-01"], "--since '2026-13-01' is not a date"),
        (["audit", "--since", "2026-01-01"], "hint: `drillbook audit --since 2026-01-01 --until 2026-12-31`"),
        (["drill", "sample", "--quiet", "--json"], "exclude"),
        (["report", "no-such-run"], "no-such-run"),
        (["--help", "nonsense"], "nonsense"),
        (["--help", "dril.plan"], "did you mean 'drill.plan'"),
        (["actions", "http.respond"], "did you mean"),
        (["drill", "all"], "drills/all.yml:3:18: there is no drill 'sampel'"),
        (["drill.plan", "all"], "did you mean 'sample'"),
        (
            ["drill", "sample", "--inventory", "other"],
            "services.app.admin.password of the inventory: the environment variable",
        ),
    ],
)
def test_mistakes_end_with_2_and_a_message(folder, argv, said, monkeypatch, capsys):
    folder.write("restore:\n" + step(["true"]))
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample, sampel]\n")
    (folder.root / "inventory" / "other.yml").write_text(
        f"environment: lab\nhosts: {{{here(folder.root)}}}\nservices:\n  app: {{kind: postgres, host: controller, database: a, "
        "user: a, password: !file /dev/null, data_directory: /pg, admin: {user: b, password: !env DRILLBOOK_NONE}}\n"
    )
    monkeypatch.chdir(folder.root)
    with pytest.raises(SystemExit) as end:
        program().run(["drillbook", *argv])
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (2, "")
    assert said in told.err
    assert "Traceback" not in told.err
    assert not list(folder.root.glob("reports/*"))


def test_many_drills_are_not_all_named_in_a_hint(folder):
    for number in range(9):
        folder.write("", f"one-{number}")
    for argv in (["drill.plan", "nosuch"], ["drill.plan"], ["runbook"]):
        done = folder.run(*argv)
        assert "hint: `drillbook drill.list --all` lists the 9 drills and suites" in done.stderr
        assert "one-3" not in done.stderr
    assert "did you mean 'one-3'?" in folder.run("drill", "onee-3").stderr


def test_an_audit_without_dates_is_of_the_current_quarter(folder):
    folder.write("")
    folder.run("drill", "sample")
    done = folder.run("audit", "--out", "audit")
    made = json.loads((folder.root / "audit" / "audit.json").read_text())
    first, last = made["since"], made["until"]
    assert f"from {first} to {last}" in done.stdout
    assert (first[8:], int(last[5:7]) - int(first[5:7])) == ("01", 2)
    assert "app (lab)" in done.stdout


@pytest.fixture
def own(folder):
    """Project with its own `tasks.py` and a task in addition to those of Drillbook."""
    folder.write("restore:\n" + step(["true"]))
    (folder.root / "tasks.py").write_text(
        "from invoke import task\nfrom drillbook import tasks\n\nnamespace = tasks.namespace()\n\n\n"
        "@task\ndef greet(_, name, loud=False):\n    print(name.upper() if loud else name)\n\n\nnamespace.add_task(greet)\n"
    )
    return folder


INVOKE = [sys.executable, "-m", "invoke"]


def invoke(folder, *argv):
    return subprocess.run(
        [*INVOKE, *argv],
        cwd=folder.root,
        env=folder.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["drill"], 2, "the name of a drill or suite is missing"),
        (["drill", "sampel"], 2, "did you mean"),
        (["drill", "--quiet", "--dry"], 2, "the name of a drill or suite is missing"),
        (["drill", "--dry", "sample"], 2, "--dry is not an option of this task"),
        (["drill", "--foo", "sample"], 2, "--foo is not an option of this task"),
        (["drill", "--foo"], 2, "drill has no option --foo: its options: --assume,"),
        (["drill", "sample", "--foo"], 2, "drill has no option --foo: its options: --assume,"),
        (["drill", "sample", "--jsn"], 2, "drill has no option --jsn: did you mean --json?"),
        (["drill", "--jsn", "sample"], 2, "drill has no option --jsn: did you mean --json?"),
        (["drill.due", "--jsn"], 2, "drill.due has no option --jsn: did you mean --json?"),
        (["drill.due", "--enviroment=lab"], 2, "did you mean --environment?"),
        (["dril", "sample"], 2, "there is no task 'dril': did you mean 'drill'?"),
        (["drill.lst"], 2, "there is no task 'drill.lst': did you mean 'drill.list'?"),
        (["drill", "sample", "repotr"], 2, "there is no task 'repotr': did you mean 'report'?"),
        (["gret", "ann"], 2, "there is no task 'gret': did you mean 'greet'?"),
        (["greet", "ann", "--lod"], 2, "greet has no option --lod: did you mean --loud?"),
        (["--help", "nonsense"], 2, "there is no task 'nonsense': `--list` shows all tasks"),
        (["--help", "drill.lst"], 2, "did you mean 'drill.list'?"),
        (["drill.due", "--environment"], 2, "drill.due: --environment needs a value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_in_invoke_itself_touch_nothing(own, argv, status, said):
    done = invoke(own, *argv)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (own.root / "reports").exists()


def test_names_may_be_left_out_in_invoke_itself(own):
    own.run("drill", "sample")
    run = own.latest.name
    for argv in (["report.verify"], ["report.verify", run], ["report.verify", "--run", run], ["report", "-r", run]):
        done = invoke(own, *argv)
        assert (done.returncode, done.stderr) == (0, ""), argv
        assert run in done.stdout
    for argv in (["drill", "--quiet", "--inventory", "lab", "sample"], ["drill", "sample", "--quiet"]):
        assert "PASSED" in invoke(own, *argv).stdout
    two = invoke(own, "report.verify", run, "greet", "--loud", "ann")
    assert two.returncode == 0, two.stderr
    assert two.stdout.endswith("ANN\n")
    assert invoke(own, "drill", "--help").stdout.startswith("Usage: inv[oke] [--core-opts] drill.drill")
    assert "drill or suite" in invoke(own, "--help", "drill").stdout


def test_runs_are_named_without_a_flag(folder):
    folder.write("restore:\n" + step(["true"]))
    folder.run("drill", "sample")
    run = folder.latest.name
    assert run in folder.run("report.verify", run).stdout
    assert folder.run("report", "--run", run).returncode == 0
    opened = folder.run("report.open", run)
    assert opened.stdout.strip() == str(folder.latest / "report.html")
    assert opened.stderr == "no browser can be started from here; open this file in a browser:\n"


def test_a_suite_whose_controller_died_names_the_reports_of_its_drills(folder):
    folder.write("restore:\n" + step(["true"]))
    folder.write("restore:\n" + step(["true"]), "second")
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample, second]\n")
    folder.run("drill", "all")
    suite = folder.latest
    drills = sorted(path.parent.name for path in suite.glob("*/journal.jsonl"))
    for left in ("result.json", "report.html", "attestation.json"):
        (suite / left).unlink(missing_ok=True)
    done = folder.run("report.open", suite.name)
    assert done.returncode == 2
    assert f"the suite {suite.name} has no report, because its controller died" in done.stderr
    for drill in drills:
        assert drill in done.stderr
        assert folder.run("report.open", drill).stdout.strip().endswith(f"{drill}/report.html")
    assert "verify its drills one by one" in folder.run("report.verify", suite.name).stdout


def test_a_run_without_a_report_because_its_controller_died_or_goes_on_says_so(folder):
    folder.write("restore:\n" + step(["sh", "-c", "kill -9 $PPID; sleep 1"]))
    assert folder.run("drill", "sample", "--quiet").returncode < 0
    (run,) = (path.parent.name for path in folder.root.glob("reports/*/journal.jsonl"))
    done = folder.run("report.open", run)
    assert done.returncode == 2
    assert f"the run {run} has no report, because its controller died before the end" in done.stderr
    assert f"drillbook drill.recover {run}" in done.stderr
    assert f"`drillbook report {run}` writes a report as it is now, and undoes nothing" in " ".join(done.stderr.split())
    controller = Journal.resume(folder.root / "reports" / run, Redactor([]), origin=time.monotonic())
    try:
        done = folder.run("report.open", run)
        assert f"the run {run} has no report yet, because it is in progress" in done.stderr
        assert "recover" not in done.stderr
    finally:
        controller.close()
    assert folder.run("drill.recover", run).returncode == 0
    assert folder.run("report.open", run).stdout.strip().endswith(f"{run}/report.html")
    (folder.root / "reports" / run / "report.html").unlink()
    assert f"hint: render the report: drillbook report {run}" in folder.run("report.open", run).stderr
    (folder.root / "reports" / run / "result.json").unlink()
    assert f"hint: render the report: drillbook report {run}" in folder.run("report.open", run).stderr, "the run ended"


def test_the_version(folder):
    assert folder.run("--version").stdout.startswith("drillbook ")


@pytest.mark.parametrize("argv", [["drill", "sample"], ["drill", "sample", "--json"]], ids=["lines", "json"])
def test_nobody_reads_on(folder, argv):
    folder.write(BREAK + "restore:\n" + step(["sleep", "0.5"]))
    with folder.start(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        program.stdout.readline()
        program.stdout.close()
        said = program.stderr.read()
    assert (program.returncode, said) == (0, "")
    assert folder.result()["verdict"] == "passed"


PRINTING = [["actions"], ["--list"], ["--help", "drill"], ["schema", "drill"], ["drill.list"], ["lab.status"]]
PRINTED = [
    pytest.param(PROGRAM, ["--help"], id="drillbook --help"),
    *(
        pytest.param(program, argv, id=f"{name} {' '.join(argv)}")
        for name, program in (("drillbook", PROGRAM), ("invoke", INVOKE))
        for argv in PRINTING
    ),
]
"""Not tested with `invoke --help`, because Invoke prints this help before it reads a project's tasks."""


@pytest.mark.parametrize("buffered", [True, False], ids=["at the end", "line by line"])
@pytest.mark.parametrize(("program", "argv"), PRINTED)
def test_nobody_reads_at_all(own, program, argv, buffered):
    reading, writing = os.pipe()
    os.close(reading)
    environment = own.environment if buffered else {**own.environment, "PYTHONUNBUFFERED": "1"}
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [*program, *argv], cwd=own.root, env=environment, stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_a_list_whose_beginning_is_enough(own):
    own.environment["PYTHONUNBUFFERED"] = "1"
    line = f"set -o pipefail; {shlex.join([*INVOKE, '--list'])} | head -1"
    done = subprocess.run(
        ["bash", "-c", line], cwd=own.root, env=own.environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("Available tasks:\n", "")


def test_list(folder):
    folder.write("restore:\n" + step(["true"]))
    folder.write("restore:\n" + step(["true"]), "other")
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    folder.run("drill", "sample")
    dead = folder.root / "reports" / "20200101T000000.000Z-other-dead"
    dead.mkdir()
    (dead / "journal.jsonl").write_bytes(b"")
    done = folder.run("drill.list")
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "passed" in rows["sample"]
    assert "never run" in rows["other"]
    assert "(suite)" in rows["all"]
    assert f"journal lost: {dead.name}" in done.stdout
    assert "the actions of the run are unknown" in " ".join(done.stdout.split())


def test_list_loads_nothing_heavy(folder):
    code = (
        "import sys; from drillbook.cli import overview; from drillbook.project.project import Project; overview.drills(Project.here()); "
        "bad = {'boto3', 'psycopg', 'docker', 'fabric', 'paramiko', 'redis', 'drillbook.events.runs', 'drillbook.events.holds', "
        "'drillbook.events.probes', 'drillbook.judge.findings', 'drillbook.plan.planner'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder.root, check=True, capture_output=True)


def test_plan(folder):
    folder.write(BREAK + "restore:\n" + step(["true"]))
    text = folder.run("drill.plan", "sample").stdout
    assert f"undo: rm -f {folder.root}/broken" in " ".join(text.split())
    assert "fault on controller; timeout 60 s" in text
    made = json.loads(folder.run("drill.plan", "sample", "--json").stdout)
    assert made["digest"] in text
    assert [one["id"] for one in made["steps"]] == ["inject.1", "restore.1", "verify.1"]


def test_plan_names_what_only_a_restore_mends():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", "from drillbook.cli.program import main; main()", "drill.plan", "postgres-lost"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "undo: restore only" in done.stdout


def test_plan_names_the_service_that_a_fault_hits_from_the_controller():
    root = Path(__file__).parents[2]
    for command in ("drill.plan", "runbook"):
        done = subprocess.run(
            [sys.executable, "-c", "from drillbook.cli.program import main; main()", command, "table-dropped"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(r"on database \\?\(from the controller\\?\); ", done.stdout)


def test_a_typing_mistake_in_a_drill_says_that_no_drill_was_run(folder):
    folder.write("restore:\n  - command.runs: {argv: [touch, DIR/broken]}\n")
    done = folder.run("drill", "sample")
    assert done.returncode == 2
    assert done.stderr.endswith("\nNo drill was run.\n"), done.stderr
    assert not list((folder.root / "reports").glob("*"))
    assert "No drill was run" not in folder.run("drill.plan", "sample").stderr


def test_check(folder):
    folder.write("ready:\n" + step(["true"]) + BREAK + "restore:\n" + step(["rm", "DIR/broken"]))
    assert folder.run("trust", "--yes").returncode == 0
    done = folder.run("drill.check", "sample")
    assert done.returncode == 0, done.stdout
    assert "the drill could begin now" in done.stdout
    assert not (folder.root / "broken").exists(), "a check breaks nothing"
    assert not list((folder.root / "reports").glob("*")), "a check leaves no run"


UNREADY = {
    "guard": (
        "guard: {environments: [staging]}\nrestore:\n" + step(["true"]),
        "may run only in staging, not in lab",
    ),
    "ready": ("ready:\n" + step(["false"]) + "restore:\n" + step(["true"]), "not ready"),
    "step": ("restore:\n" + step(["no-such-program"]) + step(["nor-this-one"]), "nor-this-one"),
    "probe": (
        "probes:\n  - http.available: {url: 'http://127.0.0.1:1/'}\nrestore:\n" + step(["true"]),
        "Connection refused",
    ),
}


@pytest.mark.parametrize("name", UNREADY)
def test_check_says_what_is_missing(folder, name):
    text, said = UNREADY[name]
    folder.write(text)
    assert folder.run("trust", "--yes").returncode == 0
    done = folder.run("drill.check", "sample")
    assert done.returncode == 4, done.stdout
    assert said in " ".join(done.stdout.split())
    assert not list(folder.root.glob("reports/*"))


def test_check_names_all_unreachable_hosts_at_once(folder):
    (folder.root / "inventory" / "lab.yml").write_text(
        "environment: lab\nservices: {app: {kind: process, host: controller}}\n"
        f"hosts: {{one: {{address: 127.0.0.1, port: 1}}, two: {{address: 127.0.0.1, port: 2}}, {here(folder.root)}}}\n"
    )
    folder.write("restore:\n" + step(["true"]).replace("controller", "'all:!controller'"))
    done = folder.run("drill.check", "sample")
    assert done.returncode == 4
    assert "one" in done.stdout
    assert "two" in done.stdout


def test_completion(folder):
    folder.write("restore:\n" + step(["true"]))
    for words in ("drillbook drill ", "drillbook drill.plan sam"):
        assert "sample" in folder.run("--complete", "--", *words.split()).stdout.split()
    assert "sample" not in folder.run("--complete", "--", "drillbook", "lab.").stdout.split()
    assert "complete" in folder.run("--print-completion-script", "bash").stdout


def blocked_by_a_file(reports):
    reports.write_text("")


def blocked_by_a_link(reports):
    reports.symlink_to("nowhere/at/all")


@pytest.mark.parametrize("block", [blocked_by_a_file, blocked_by_a_link])
def test_reports_that_cannot_be_made_are_said_before_anything_is_touched(folder, block):
    folder.write(BREAK + "restore:\n" + step(["rm", "-f", "DIR/broken"]))
    block(folder.root / "reports")
    done = folder.run("drill", "sample", "--json")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"error: {folder.root}/reports cannot be " in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder.root / "broken").exists()


def status_of(*argv):
    """Run the program in this process, in the current folder."""
    try:
        program().run(["drillbook", *argv])
    except SystemExit as ended:
        return ended.code or 0
    return 0


AUDIT = ("audit", "--since", "2020-01-01", "--until", "2999-12-31", "--out")


def test_what_only_reads_makes_no_reports(folder, monkeypatch, capsys):
    folder.write(BREAK + "restore:\n" + step(["true"]))
    monkeypatch.chdir(folder.root)
    for argv in (["drill.list"], ["report.list"], ["drill.recover"], ["drill.plan", "sample"], ["drill.check", "sample"]):
        assert status_of(*argv) == 0
        assert not (folder.root / "reports").exists(), argv
    (folder.root / "reports").write_text("")
    for argv in (
        ["drill.list"],
        ["report.list"],
        ["drill.recover"],
        ["report.verify"],
        [*AUDIT, str(folder.root / "audit")],
    ):
        assert status_of(*argv) == 2, argv
        assert f"{folder.root}/reports cannot be read: Not a directory" in capsys.readouterr().err


def digests(folder):
    """The digest of each file below ``folder``, by its path."""
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_an_auditor_needs_nothing_but_the_reports(folder, tmp_path_factory, monkeypatch, capsys):
    folder.write("every: 30d\nrestore:\n" + step(["true"]))
    assert folder.run("drill", "sample").returncode == 0
    run = folder.latest.name
    inside = folder.root / "evidence"
    for alone in (
        tmp_path_factory.mktemp("auditor"),
        inside,
    ):  # also in a subfolder of a project: the nearest project is used
        alone.mkdir(exist_ok=True)
        shutil.copytree(folder.root / "reports", alone / "reports", symlinks=True)
        received = digests(alone / "reports")
        for place in (alone, alone / "reports" / run):
            monkeypatch.chdir(place)
            for argv in (["report.list"], ["report.verify", run], ["report.open"], ["drill.recover"]):
                assert status_of(*argv) == 0, (argv, capsys.readouterr())
            assert status_of(*AUDIT, str(alone)) == 3
            assert "There is no anchor to compare with" in " ".join(capsys.readouterr().out.split())
            anchor = anchor_places.default(folder.root / "reports")
            assert status_of(*AUDIT, str(alone), "--anchor", str(anchor)) == 0, capsys.readouterr()
            assert (
                "The record is complete. The only trusted signature of the record is that of this machine's own key"
                in " ".join(capsys.readouterr().out.split())
            )
        assert "1 run" in (alone / "audit.md").read_text()
        assert "has no schedule in this environment" not in (alone / "audit.md").read_text()
        assert digests(alone / "reports") == received, "examining the evidence does not change it"
    monkeypatch.chdir(inside)
    capsys.readouterr()
    status_of("report.open")
    assert capsys.readouterr().out.startswith(str(inside))
    monkeypatch.chdir(tmp_path_factory.mktemp("nothing"))
    assert status_of("report.verify") == 2
    assert "no folder `reports` or `drills`" in capsys.readouterr().err


def test_a_message_says_that_further_checks_follow(tmp_path):
    folder = Folder(tmp_path)
    folder.write("owner: nobody\nrestore:\n  - command.rum: {}\n  - command.rums: {}\n")
    done = folder.run("drill.plan", "sample")
    assert (done.returncode, done.stderr.count("there is no action")) == (2, 2)
    assert done.stderr.endswith("\nFurther checks follow when these mistakes are corrected.\n"), done.stderr
    folder.write("title: Again\nowner: nobody\nrestore:\n" + step(["true"]))
    done = folder.run("drill", "sample")
    assert "the key 'title' occurs twice" in done.stderr
    assert "there is no contact 'nobody'" in done.stderr
    assert done.stderr.endswith("\nFurther checks follow when these mistakes are corrected.\nNo drill was run.\n"), (
        done.stderr
    )
    folder.write("owner: nobody\nrestore:\n" + step(["true"]))
    done = folder.run("drill.plan", "sample")
    assert "there is no contact 'nobody'" in done.stderr
    assert "Further checks" not in done.stderr, "the check with the inventory is the last one"
