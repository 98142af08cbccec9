"""Lists of drills and runs: due drills, runs without an end, and runs whose lab does not exist any more."""

import io
import json
import os
import re
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from drillbook.cli import console, overview, run_identity, short_list
from drillbook.engine import lab_gone, recovery
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, Journal
from drillbook.plan import planner, spec
from drillbook.plan.schedule import State
from drillbook.project import due, schedules
from drillbook.project.due_row import DueRow
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report import folders, publish
from drillbook.report.formats import as_json
from drillbook.report.terminal import event_lines, summary
from tests.contents import content
from tests.program import HEAD, VERIFY, Folder, step

NOW = datetime.now(UTC)
"""Time of the import of this module, which may be minutes before a test."""
LAB = """\
environment: lab
lab: embedded
hosts: {app-1: {address: 127.0.0.1, port: 1, known_hosts: LAB/known_hosts, scratch: LAB/app-1/tmp}}
services: {app: {kind: process, host: app-1}}
"""


class Shelf:
    """Project whose runs are written as files."""

    def __init__(self, root):
        self.root, self.number = root, 0
        (root / "drills").mkdir()
        (root / "hosts.yml").write_text(LAB.replace("LAB", str(root / "lab")))
        self.drill("sample")

    def drill(self, name, more=""):
        text = HEAD.replace("sample", name) + more
        (self.root / "drills" / f"{name}.yml").write_text(text + "restore:\n" + step(["true"]) + VERIFY)

    def run_id(self, name, ago):
        self.number += 1
        return f"{NOW - ago:%Y%m%dT%H%M%S}.000Z-{name}-{self.number:04x}"

    def result(self, name, verdict="passed", ago=timedelta(0), status=0, *, proof=True):
        """A completed run, which recovered the service from a fault unless ``proof`` is false."""
        folder = self.open(name, ago)
        with (folder / FILE).open("rb") as file:
            assert file.readline()
        self.append(folder, "run.finished", {"residue": [] if status != 5 else [{"what": "left"}], "unwritten": ""})
        result = {
            "schema": "drillbook/result/1",
            "run": folder.name,
            "drill": name,
            "title": "t",
            "service": "app",
            "environment": "lab",
            "operator": "ann",
            "tool": "t",
            "verdict": verdict,
            "reason": "r",
            "residue": [],
            "exit": status,
            "started": f"{NOW - ago:%Y-%m-%dT%H:%M:%S.%fZ}",
            "finished": None,
            "clocks": {"disruption_s": 1.0 if proof else None},
            "phases": [{"phase": "restore", "status": "done"}],
        }
        (folder / "result.json").write_text(as_json(result))
        return folder

    def open(self, name, ago=timedelta(0)):
        """A run whose controller died right after it announced a change."""
        folder = Project(self.root).ready_reports() / self.run_id(name, ago)
        folder.mkdir(mode=0o700)
        made = planner.make(spec.load(self.root / "drills" / f"{name}.yml"), inventory.load(self.root / "hosts.yml"))
        self.append(
            folder,
            "run.started",
            {
                "run": folder.name,
                "plan": made.model_dump(mode="json"),
                "plan_digest": made.digest,
                **run_identity.header("ann@ops"),
            },
        )
        return folder

    def append(self, folder, kind, data, **where):
        new = not (folder / FILE).exists()
        journal = (
            Journal(folder, Redactor([]), origin=time.monotonic())
            if new
            else Journal.resume(folder, Redactor([]), origin=time.monotonic())
        )
        journal.append(content(kind, data), **where)
        journal.close()

    def lab(self, ago=timedelta(0)):
        """A lab that was created that long ago."""
        (self.root / "lab").mkdir()
        (self.root / "lab" / lab_gone.MARKER).write_text("drillbook lab\n")
        at = (datetime.now(UTC) - ago).timestamp()
        os.utime(self.root / "lab" / lab_gone.MARKER, (at, at))


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def listed(shelf, capsys, what=overview.drills):
    capsys.readouterr()
    assert what(Project(shelf.root)) == 0
    return capsys.readouterr().out


def row(text, name):
    return next(line for line in text.splitlines() if line.startswith(name))


def row_of(text, run):
    return next(line for line in text.splitlines() if run in line)


DAY = timedelta(days=1)
DUE = {
    "passed-long-ago": ("every: 30d\n", [("passed", 40 * DAY, 0)], "overdue 7 d"),
    "passed-lately": ("every: 30d  # a month\n", [("passed", 9.5 * DAY, 0)], "in 20 d"),
    "failed-since": ("every: '30d'\n", [("passed", 40 * DAY, 0), ("failed", DAY, 1)], "overdue 7 d"),
    "left-something": ("every: 30d\n", [("passed", DAY, 5)], "now, every 30 d"),
    "never-ran": ("every: 30d\n", [], "now, every 30 d"),
    "whenever": ("", [("passed", 900 * DAY, 0)], "-"),
}


def test_what_is_due(shelf, capsys):
    for name, (more, runs, _) in DUE.items():
        shelf.drill(name, more)
        for verdict, ago, status in runs:
            shelf.result(name, verdict, ago, status)
    text = listed(shelf, capsys)
    for name, (_, _, said) in DUE.items():
        assert row(text, name).rstrip().endswith(said), text
    assert "A never-ran" in text
    assert "last run passed: 4 of 7 drills and suites; 4 due now: drillbook drill.due; 2 without a schedule (-)" in text
    assert "last passed" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("width", [80, 100, 120])
def test_each_drill_has_one_line_and_its_whole_name(shelf, capsys, monkeypatch, width):
    """Titles are shown only if enough of them fits to tell the drills apart; else their room is for services and dates."""
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    names = ["connections-exhausted", "sample", "z-drill"]
    for name in names:
        shelf.drill(name, "every: 30d\n")
    path = shelf.root / "drills" / "sample.yml"
    path.write_text(path.read_text().replace("title: A sample", f"title: A sample {'with a long title ' * 9}"))
    lines = listed(shelf, capsys).splitlines()
    told = "titles need a wider terminal; a drill's title: drillbook drill.plan NAME"
    assert [line.split()[0] for line in lines[:-1] if line != told] == ["drill", *names]
    assert lines[-1] == "last run passed: 0 of 3 drills and suites; 3 due now: drillbook drill.due"
    assert max(map(len, lines)) <= width
    assert ("last run" in lines[0], told in lines) == (True, width < 120)
    assert ("service" in lines[0], " app " in lines[2]) == (True, True)
    assert (re.search(r"A sample with a long title with a long.*… ", lines[2]) is not None) == (width == 120)


def test_a_passed_run_with_open_findings_is_marked(shelf, capsys):
    """A suite has the findings of its drills. What its objectives allow is no open finding."""
    for name in ("clean", "left"):
        shelf.drill(name, "every: 30d\n")
        file = shelf.result(name) / "result.json"
        data = json.loads(file.read_text())
        data["findings"] = [{"code": "a", "severity": "low" if name == "clean" else "high", "title": "A problem"}]
        file.write_text(as_json(data))
    lines = listed(shelf, capsys).splitlines()
    assert " passed " in row("\n".join(lines), "clean")
    at = lines.index(row("\n".join(lines), "left"))
    assert " passed ! " in lines[at]
    assert lines[at + 1] == "  ! 1 high finding open: drillbook report.open left"
    assert sum("!" in line for line in lines) == 2
    *runs, legend = listed(shelf, capsys, overview.runs).splitlines()
    assert " passed ! " in row_of("\n".join(runs), "-left-")
    assert sum("!" in line for line in runs) == 1
    assert legend == f"! = {overview.OPEN.removeprefix('! = ')}"


def test_a_run_that_was_recovered_later_says_when_and_by_whom(shelf, capsys):
    later, shown = (f"recovered later at 2026-01-02{time} by ann" for time in ("T10:00:00Z", " 10:00:00 UTC"))
    for name in ("bad", "mended"):
        shelf.drill(name, "every: 30d\n")
        shelf.result(name, ago=DAY)
        file = shelf.result(name, verdict="failed") / "result.json"
        data = json.loads(file.read_text())
        title = "The service was not good again" + (f"; {later}" if name == "mended" else "")
        data["findings"] = [{"code": "not-recovered", "severity": "critical", "title": title}]
        file.write_text(as_json(data))
    lines = listed(shelf, capsys).splitlines()
    at = lines.index(row("\n".join(lines), "mended"))
    assert " failed " in lines[at]
    assert lines[at + 1] == "  ! 1 critical finding open: drillbook report.open mended"
    assert lines[at + 2] == f"  {shown}, last passed {overview.day(f'{NOW - DAY:%Y-%m-%dT%H:%M}')}"
    assert lines[at + 3] == "  again: drillbook drill mended"
    assert sum("recovered later" in line for line in lines) == 1
    found = json.loads(listed(shelf, capsys, partial(overview.drills, as_json=True)))["drills"]
    assert {one["name"]: one["last"]["recovered"] for one in found if one["last"]} == {"bad": "", "mended": shown}


@pytest.mark.parametrize("width", [30, 40, 60])
def test_a_narrow_terminal_breaks_nothing(shelf, capsys, monkeypatch, width):
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    for name in ("connections-exhausted", "sample"):
        shelf.drill(name, "every: 30d\n")
    shelf.result("sample")
    lines = listed(shelf, capsys).splitlines()
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines if "connections" in line or line.startswith("sample")] == [
        "connections-exhausted",
        "sample",
    ]
    text = " ".join(" ".join(lines).split())
    assert "due now, every 30 d" in text if width < 60 else "now, every 30 d" in text


def test_a_narrow_terminal_shows_the_whole_name_of_a_run_and_its_verdict_below(shelf, capsys, monkeypatch):
    monkeypatch.setattr(console, "PIPE_WIDTH", 40)
    shelf.drill("connections-exhausted")
    name = shelf.result("connections-exhausted").name
    overview.runs(Project(shelf.root))
    assert capsys.readouterr().out.splitlines() == [name, "  verdict passed"]


def test_a_list_of_runs_shows_how_long_they_took_and_the_measured_rto(shelf, capsys):
    folder = shelf.result("sample")
    file = folder / "result.json"
    data = json.loads(file.read_text())
    begun = datetime.fromisoformat(data["started"])
    data["finished"] = f"{begun + timedelta(seconds=12.4):%Y-%m-%dT%H:%M:%S.%fZ}"
    data["objectives"] = {"rto": {"target_s": 30, "measured_s": 7.44, "error_s": 0.13, "met": True}}
    file.write_text(as_json(data))
    shelf.result("sample", ago=timedelta(hours=1))
    head, first, second = listed(shelf, capsys, overview.runs).splitlines()
    assert head.split() == ["begun", "(UTC)", "verdict", "took", "RTO", "run"]
    assert "passed   12.4 s  7.44 s +0/−0.13 s  " in first
    assert second.split()[2:5] == ["passed", "-", "-"]
    data["objectives"]["rto"]["met"] = None  # the verification failed
    file.write_text(as_json(data))
    assert "passed   12.4 s  (7.44 s +0/−0.13 s)  " in listed(shelf, capsys, overview.runs)


@pytest.mark.parametrize(
    ("verdict", "met", "figure"),
    [
        ("aborted", True, "(7.44 s +0/−0.13 s)"),
        ("failed", True, "(7.44 s +0/−0.13 s)"),
        ("failed", None, "(7.44 s +0/−0.13 s)"),
        ("failed", False, "7.44 s +0/−0.13 s"),
    ],
)
def test_the_list_of_runs_shows_a_figure_that_does_not_count_in_parentheses(shelf, capsys, verdict, met, figure):
    folder = shelf.result("sample", verdict)
    file = folder / "result.json"
    data = json.loads(file.read_text())
    data["objectives"] = {"rto": {"target_s": 30, "measured_s": 7.44, "error_s": 0.13, "met": met}}
    file.write_text(as_json(data))
    shown = listed(shelf, capsys, overview.runs)
    assert f"  {figure}  " in shown
    assert ("\n() = does not count: the run did not pass, or the objective was not verified\n" in shown) is ("(" in figure)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drill: [", "broken.yml:2:1: did not find expected node content"),
        ("drill: broken\n", "broken.yml: the file has no title"),
        (
            "drill: broken\ntitle: A\nservice: app\nrestore:\n  - service.star: {service: app}\n",
            "broken.yml:5: there is no action 'service.star'",
        ),
        (
            "drill: broken\ntitle: A\nservice: app\nprobes:\n  - http.avail: {}\n",
            "broken.yml:5: there is no probe 'http.avail'",
        ),
        (
            "drill: broken\ntitle: A\nservice: app\nrestore:\n  - parallel:\n    - nothing.at_all: {}\n",
            "broken.yml:6: there is no action 'nothing.at_all'",
        ),
        (
            "drill: broken\ntitle: A\nguard:\n  abort_if:\n    - http.respond: {}\n      for: 5s\n",
            "broken.yml:5: there is no action 'http.respond'",
        ),
        (
            "drill: broken\ntitle: A\nrestore:\n  - service.start: {}\n    service.stop: {}\n",
            "broken.yml:4: an entry of 'restore' must name exactly one action, but it names 2",
        ),
        (
            "drill: broken\ntitle: A\nrestor:\n  - service.start: {}\n",
            "broken.yml:3: unknown key 'restor'; did you mean 'restore'?",
        ),
        ("drill: broken\ntitle: A\nrestore: {service.start: {}}\n", "broken.yml:3: 'restore' must be a list"),
        ("suite: broken\ntitle: A\ndrills: [sample, nowhere]\n", "broken.yml:3: there is no drill 'nowhere'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(shelf, capsys, text, said):
    (shelf.root / "drills" / "broken.yml").write_text(text)
    assert overview.drills(Project(shelf.root)) == 0
    lines = " ".join(capsys.readouterr().out.split())
    assert f"✗ cannot be read: {said}" in lines
    assert "; 1 cannot be read" in lines
    assert overview.drills(Project(shelf.root), as_json=True) == 0
    (broken,) = [one["broken"] for one in json.loads(capsys.readouterr().out)["drills"] if one["broken"]]
    assert said in broken


def test_a_suite_with_a_broken_drill_cannot_be_read_either(shelf, capsys):
    (shelf.root / "drills" / "broken.yml").write_text("drill: broken\ntitle: A\nrestore:\n  - service.star: {}\n")
    (shelf.root / "drills" / "both.yml").write_text("suite: both\ntitle: A\ndrills: [sample, broken]\n")
    overview.drills(Project(shelf.root))
    lines = " ".join(capsys.readouterr().out.split())
    assert "✗ cannot be read: the drill broken of this suite cannot be read" in lines
    assert "; 2 cannot be read" in lines


def test_a_plan_does_not_depend_on_how_often_it_is_run(shelf):
    hosts = inventory.load(shelf.root / "hosts.yml")
    path = shelf.root / "drills" / "sample.yml"
    before = planner.make(spec.load(path), hosts).digest
    path.write_text(path.read_text() + "every: 30d\n")
    assert spec.load(path).head.every == 30 * 86400
    assert planner.make(spec.load(path), hosts).digest == before


def test_a_run_of_another_machine_is_never_called_gone(shelf):
    first = folders.first_event(shelf.open("sample"))
    assert lab_gone.lab_gone(first)
    first["data"]["controller"] = "elsewhere, Linux"
    assert not lab_gone.lab_gone(first)


def test_a_run_on_a_lab_that_is_there_is_not_gone(shelf):
    shelf.lab(ago=DAY)
    assert not lab_gone.lab_gone(folders.first_event(shelf.open("sample")))


def test_the_index_shows_what_never_ended(shelf):
    dead, fine = shelf.open("sample"), shelf.result("sample")
    suite = Project(shelf.root).reports / shelf.run_id("all", timedelta(0))
    suite.mkdir()
    shelf.open("sample").rename(suite / (inner := shelf.run_id("sample", timedelta(0))))
    publish.write_index(Project(shelf.root).reports)
    page = (shelf.root / "reports" / "index.html").read_text()
    assert page.count('<span class="state failed"><span class="shape" aria-hidden="true">') == 3
    for run in (dead.name, inner):
        assert f"drillbook drill.recover {run}" in page
    assert f'href="{fine.name}/report.html"' in page
    assert f'href="{dead.name}' not in page


def test_the_last_word_is_found_however_long_the_end_is(shelf):
    folder = shelf.result("sample")
    assert folders.last_word(folder) == {"residue": [], "unwritten": ""}
    shelf.append(folder, "note", {"said": 'as "run.finished" says: ' + "x" * 3 * folders.TAIL})
    assert folders.last_word(folder) == {"residue": [], "unwritten": ""}
    with (folder / FILE).open("ab") as file:
        file.write(b'{"kind":"recovery.finished","data":{"residue":["torn"]}')
    assert folders.last_word(folder) == {"residue": [], "unwritten": ""}
    assert folders.last_word(shelf.open("sample")) is None


def test_the_newest_runs_are_listed_first(shelf, capsys):
    runs = [shelf.result("sample", ago=timedelta(hours=number)).name for number in range(overview.MOST_RUNS + 3)]
    text = listed(shelf, capsys, overview.runs)
    found = [line.split()[-1] for line in text.splitlines() if line.startswith("20")]
    assert found == runs[: overview.MOST_RUNS]
    assert "3 older runs" in text
    text = listed(shelf, capsys, lambda project: overview.runs(project, everything=True))
    assert runs[-1] in text


def plan_of(shelf, hosts="hosts.yml"):
    return planner.make(spec.load(shelf.root / "drills" / "sample.yml"), inventory.load(shelf.root / hosts))


def in_the_way(shelf, hosts="hosts.yml"):
    project = Project(shelf.root)
    return recovery.in_the_way(plan_of(shelf, hosts), [*project.runs(), *project.lost()])


def killed(shelf):
    """A run on an existing lab, whose controller died after the fault."""
    shelf.lab(ago=DAY)
    return announce(shelf, shelf.open("sample"))


def announce(shelf, dead):
    """An announced and injected fault."""
    shelf.append(
        dead,
        "intent",
        {
            "action": "command.run",
            "params": {"argv": ["touch", "/x"]},
            "effect": "fault",
            "undo": {"kind": "commands", "commands": [["rm", "-f", "/x"]], "action": "", "params": {}, "why": ""},
        },
        step="restore.1",
        host="app-1",
    )
    shelf.append(dead, "done", {"facts": {}, "seconds": 0.5, "attempts": 1}, step="restore.1", host="app-1")
    return dead


def change(path, number):
    """Change one digit of a line."""
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = lines[number - 1].replace(b'"clock":0', b'"clock":1', 1)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize(("number", "elsewhere"), [(3, False), (2, False), (1, True)])
def test_a_damaged_journal_of_a_killed_run_is_in_the_way(shelf, number, elsewhere):
    (shelf.root / "other.yml").write_text(
        (shelf.root / "hosts.yml")
        .read_text()
        .replace(
            "{app-1: {address: 127.0.0.1", "{controller: {local: true, scratch: /elsewhere}, app-1: {address: 127.0.0.2"
        )
    )
    dead = killed(shelf)
    assert "not finished" in in_the_way(shelf)[0].measured
    change(dead / FILE, number)
    (one,) = in_the_way(shelf)
    assert f"{dead / FILE}:{number}: the line was changed" in one.measured
    assert f"invoke drill.recover {dead.name}" in one.remedy
    assert f"move {dead} out of reports/" in one.remedy
    assert bool(in_the_way(shelf, "other.yml")) == elsewhere, "the first line names the hosts; without it they are not known"
    assert ("it is unknown which hosts that run used" in one.measured) == elsewhere
    dead.rename(shelf.root / "kept")
    assert not in_the_way(shelf)


def test_a_journal_that_was_emptied_or_taken_away_is_in_the_way(shelf):
    never = shelf.open("sample")
    (never / FILE).write_bytes(b"")
    assert "the journal is empty, and the folder has no other files" in in_the_way(shelf)[0].measured
    (never / FILE).unlink()
    assert "the journal is gone, and the folder has no other files" in in_the_way(shelf)[0].measured
    (never / "evidence").mkdir()
    assert "the journal is gone, but other files show that the run had begun" in in_the_way(shelf)[0].measured
    (never / "result.json").write_text('{"residue": []}')
    assert not in_the_way(shelf), "it ended, and left nothing"


def test_a_suite_has_its_verdict_in_the_list_of_runs(tmp_path):
    folder = Folder(tmp_path)
    folder.write("restore:\n" + step(["true"]))
    (tmp_path / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    assert folder.run("drill", "all").returncode == 0
    said = folder.run("report.list").stdout
    assert "journal lost" not in said
    rows = [line.split()[2] for line in said.splitlines()[1:]]
    assert rows == ["passed", "passed"]
    suite = folder.latest
    (suite / "result.json").unlink()
    (suite / "attestation.json").unlink()
    assert [line.split()[2] for line in folder.run("report.list").stdout.splitlines()[1:]] == ["unfinished", "passed"]
    next(suite.glob(f"*/{FILE}")).unlink()
    assert "journal lost" in folder.run("report.list").stdout, "of the drill inside"


def test_a_drill_that_never_ran_is_not_red_and_one_that_failed_is():
    never = DueRow(State.NEVER, "app", "sample", "lab", every="30d")
    assert (overview.until(never).plain, overview.until(never).style) == ("now, every 30 d", "yellow")
    assert overview.until(replace(never, last_verdict="failed")).style == "bold red"
    assert overview.until(replace(never, last_verdict="aborted")).style == "yellow"
    assert short_list.WORDS["aborted"] == summary.COLOURS["aborted"] == event_lines.COLOURS["cancelled"]


def test_what_did_not_pass_comes_first_and_what_is_fine_is_counted(shelf, capsys):
    (shelf.root / "drills" / "sample.yml").unlink()
    for number in range(9):
        shelf.drill(f"fine-{number}", "every: 30d\n")
        shelf.result(f"fine-{number}")
    for name, verdict, ago in (("failing", "failed", DAY), ("late", "passed", 40 * DAY)):
        shelf.drill(name, "every: 30d\n")
        shelf.result(name, verdict, ago)
    shelf.drill("new", "every: 30d\n")
    shelf.drill("idle")
    (shelf.root / "drills" / "broken.yml").write_text("drill: [")
    lines = listed(shelf, capsys).splitlines()
    names = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert names[:3] == ["broken", "late", "failing"]
    assert [name.partition("-")[0] for name in names[3:10]] == ["fine"] * 6 + ["not"], "results, before what never ran"
    left = "3 passed and not due, 1 never run, 1 never run and without a schedule"
    assert f"not listed: {left}; all: drillbook drill.list --all" in " ".join(lines)
    full = listed(shelf, capsys, partial(overview.drills, everything=True))
    assert all(row(full, f"fine-{number}") for number in range(9))


@pytest.mark.parametrize("rows", [24, 40])
def test_a_short_list_names_results_before_what_never_ran_and_fills_the_terminal(shelf, capsys, monkeypatch, rows):
    """Right after the first suite of a project that has many drills, open findings come first, then the newest results."""
    out = Console(width=80, height=rows, force_terminal=True, color_system=None, file=io.StringIO())
    monkeypatch.setattr(overview, "console", lambda: out)
    for number in range(40):
        shelf.drill(f"new-{number:02}", "every: 30d\n")
    for number in range(9):
        shelf.drill(f"ran-{number}", "every: 30d\n")
        file = shelf.result(f"ran-{number}", ago=timedelta(minutes=number)) / "result.json"
        if number == 8:
            finding = {"code": "a", "severity": "medium", "title": "Acknowledged writes were lost"}
            file.write_text(as_json(json.loads(file.read_text()) | {"findings": [finding]}))
    listed(shelf, capsys)
    lines = out.file.getvalue().splitlines()
    names = [line.split()[0] for line in lines if line.startswith(("new-", "ran-"))]
    assert [name for name in names if name.startswith("ran-")] == [f"ran-{number}" for number in (8, *range(8))]
    assert len(names) == (9 if rows == 24 else 25)
    assert rows - 10 <= len(lines) <= rows - 1, "the last line is for the prompt"
    left = f"not listed: {49 - len(names)} never run, 1 never run and without a schedule"
    assert left in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("verdict", ["aborted", "failed", "inconclusive"])
def test_a_drill_whose_newest_run_did_not_end_well_must_run_again_before_it_is_due(shelf, capsys, verdict):
    shelf.drill("sample", "every: 30d\n")
    shelf.drill("bare")
    for name in ("sample", "bare"):
        shelf.result(name, "passed", 2 * DAY)
    assert "run it again" not in listed(shelf, capsys)
    for name in ("sample", "bare"):
        shelf.result(name, verdict, DAY, 1)
    lines = listed(shelf, capsys).splitlines()
    for name in ("sample", "bare"):
        at = lines.index(row("\n".join(lines), name))
        assert lines[at].split()[-4:] == [verdict, "run", "it", "again"]
        assert lines[at + 1].startswith("  last passed ")
        assert lines[at + 1].endswith(f"; again: drillbook drill {name}")
    assert "last run passed: 0 of 2 drills and suites; 2 must run again; " in " ".join(lines[-2:])
    (shelf.root / "drills" / "bare.yml").write_text("drill: [")
    text = listed(shelf, capsys)
    assert ("1 must run again" in text, "drill bare" in text) == (True, False), "first the file must be mended"


def test_an_unfinished_run_is_to_be_recovered_whenever_its_drill_is_due(shelf, capsys):
    shelf.drill("sample", "every: 30d\n")
    shelf.lab(ago=DAY)
    shelf.result("sample", "passed", timedelta(minutes=20))
    shelf.open("sample", ago=timedelta(minutes=9))
    text = listed(shelf, capsys)
    assert row(text, "sample").rstrip().endswith("unfinished  recover it")
    assert "in 29 d" not in text


def test_what_other_files_schedule_is_not_without_a_schedule(shelf, capsys):
    shelf.drill("timed", "every: 7d\n")
    for name, text in {"timed-all": "every: 7d\ndrills: [sample]", "bare-all": "drills: [timed]"}.items():
        (shelf.root / "drills" / f"{name}.yml").write_text(f"suite: {name}\ntitle: All\n{text}\n")
    overview.drills(Project(shelf.root), everything=True)
    lines = capsys.readouterr().out.splitlines()
    due_by_name = {line.split()[0]: line for line in lines}
    assert due_by_name["sample"].endswith("by its suite")
    (sample,) = [each for each in schedules.read(Project(shelf.root)) if each.name == "sample"]
    assert short_list.of_drill(sample, None, None, 1).word == short_list.NEW, "what a short list leaves out of it"
    assert short_list.of_drill(replace(sample, planned_by=""), None, None, 1).word == short_list.IDLE
    assert due_by_name["bare-all"].endswith("by its drills")
    assert "without a schedule" not in lines[-1]


def test_the_list_has_the_order_of_drill_due_and_what_cannot_run_here_comes_later(tmp_path, capsys):
    for folder in ("drills", "inventory"):
        shutil.copytree(Path(__file__).parents[2] / folder, tmp_path / folder)
    assert overview.drills(Project(tmp_path), everything=True) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split()[0] for line in lines if re.search("never run  (now|not here)", line)]
    asked = [one for one in due.read(Project(tmp_path)).rows if one.drill and one.every]
    at = next(number for number, line in enumerate(lines) if re.match("routine-database .* not here$", line))
    assert lines[at + 1].strip() == "needs an inventory with a routine backup, which the lab has not"
    assert "37 due now:" in " ".join(lines[-2:]), "of 40 with a schedule"
    assert rows == [one.drill for one in asked]
    assert {"rehearse-volume", "rehearsal-docker"} & {one.drill for one in asked if one.needs}
    assert rows[0] == "routine-cache"


def test_a_drill_that_was_not_run_here_stays_with_those_that_need_another_inventory():
    wanted = SimpleNamespace(broken="", mistake="", name="away")
    last = SimpleNamespace(verdict="not run here", beside="", exit=3, at=None)
    row = DueRow(State.NEVER, "volume", "away", "lab", needs="the inventory docker")
    assert short_list.of_drill(wanted, last, row, 1).word == short_list.of_drill(wanted, None, row, 1).word
    assert short_list.of_drill(wanted, last, replace(row, needs=""), 1).word == "not passed in the last run"


def test_a_project_without_a_drill_names_the_next_step(tmp_path, capsys):
    (tmp_path / "drills").mkdir()
    assert overview.drills(Project(tmp_path)) == 0
    assert capsys.readouterr().out == "no drill in drills/; to see the drills to copy: drillbook catalog\n"
