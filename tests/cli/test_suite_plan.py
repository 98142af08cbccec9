"""The plan of a suite begins with its heading, and ends with a table that shows what each drill breaks."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from drillbook.cli import show_plan, suite_plan
from drillbook.cli.earlier_durations import Earlier, last_of_suite
from drillbook.cli.suite_plan import SuiteRow
from drillbook.project.project import Project
from tests.program import Folder, fault, step

ROOT = Path(__file__).parents[2]
SUITE = "suite: all\ntitle: All drills\ndrills: [breaks, sample]\n"
BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write("restore:\n" + step(["true"]))
    made.write(BREAK, "breaks")
    (tmp_path / "drills" / "all.yml").write_text(SUITE)
    return made


def test_the_plan_of_a_suite_has_a_heading_and_ends_with_a_table(folder):
    done = folder.run("drill.plan", "all")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[:2] == ["all: All drills", "suite of 2 drills, in this order: breaks, sample"]
    assert "time unknown: no run yet; the table at the end shows what each drill breaks" in lines
    table = lines[lines.index(next(line for line in lines if line.startswith("drill  "))) :]
    assert table[1].split() == ["breaks", "app", "on", "controller", "command.run", "-", "no", "run", "yet"]
    assert table[2].split() == ["sample", "app", "on", "controller", "nothing", "-", "no", "run", "yet"]
    assert table[4] == "Next", "the table is the last before the next steps"
    single = folder.run("drill.plan", "breaks").stdout
    assert "suite of" not in single
    assert "last run" not in single
    assert len(json.loads(folder.run("drill.plan", "all", "--json").stdout)) == 2


def test_the_heading_has_the_duration_of_the_newest_passed_run(folder):
    project = Project(folder.root)
    assert last_of_suite(project, "all") is None
    for day, verdict, seconds in ((1, "passed", 50), (2, "passed", 42), (3, "failed", 5)):
        run = folder.root / "reports" / f"2026010{day}T000000.000Z-all-0000"
        run.mkdir(parents=True)
        started, finished = f"2026-01-0{day}T00:00:00.000000Z", f"2026-01-0{day}T00:00:{seconds:02}.000000Z"
        result = {"suite": "all", "verdict": verdict, "started": started, "finished": finished}
        (run / "result.json").write_text(json.dumps(result))
    (folder.root / "reports" / "20260104T000000.000Z-all-0000").mkdir()
    (folder.root / "reports" / "20260104T000000.000Z-all-0000" / "result.json").write_text('{"suite": "all"}')
    assert last_of_suite(project, "all") == 42.0
    assert "took 42.0 s last time; " in folder.run("drill.plan", "all").stdout


def test_without_a_run_of_the_whole_suite_the_heading_has_the_durations_of_its_drills(folder):
    for name, seconds, of in (("sample", 42, "1 of 2 drills: 42.0 s"), ("breaks", 30, "its 2 drills: 1 min 12 s")):
        run = folder.root / "reports" / f"20260101T000000.000Z-{name}-0000"
        run.mkdir(parents=True)
        started, finished = "2026-01-01T00:00:00.000000Z", f"2026-01-01T00:00:{seconds}.000000Z"
        result = {"drill": name, "verdict": "passed", "started": started, "finished": finished, "steps": []}
        (run / "result.json").write_text(json.dumps(result))
        text = " ".join(folder.run("drill.plan", "all").stdout.split())
        assert f"time not known as a whole; {of}; the table at the end" in text


def test_a_drill_that_would_be_refused_is_marked_in_the_table(folder):
    folder.write("guard: {environments: [staging]}\n" + BREAK, "breaks")
    done = folder.run("drill.plan", "all")
    assert done.returncode == 4
    row = next(line for line in done.stdout.splitlines() if line.startswith("  breaks  "))
    assert row.split()[-2:] == ["refused", "now"]


def test_the_table_of_the_shipped_suite_names_what_is_broken_and_what_needs_a_recovery():
    project = Project(ROOT)
    views = [
        show_plan._View(plan, Earlier(), None, datetime.now(UTC))
        for plan in show_plan._plans(project, "quarterly", "lab")[1]
    ]
    rows = {row.drill: row for row in (view.row() for view in views)}
    assert rows["postgres-lost"] == SuiteRow(
        "postgres-lost", ("database on db-1",), ("postgres.lose_data",), ("inject.1",), ""
    )
    assert rows["api-down"].recover == (), "the host starts the API again by itself"
    out = Console(width=80, height=24, file=io.StringIO())
    suite_plan.table(list(rows.values()), out)
    lines = out.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 20, "the table stays on a terminal of 24 lines, with the next steps"
