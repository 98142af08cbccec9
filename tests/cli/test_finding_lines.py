"""The lists tell that an earlier run lost data, after the drill's next run took its place."""

import json
import re
from datetime import timedelta

import pytest

from drillbook.cli import console, due, finding_lines, overview
from drillbook.journal.run_state import RunState
from drillbook.project import newest_runs
from drillbook.project.project import Project
from drillbook.report import remarks
from drillbook.report.earlier_losses import Loss
from tests.cli.test_overview import Shelf
from tests.judge.test_shortfall import removed, restored

LINE = "! earlier run reported ≥ 9 rows lost: drillbook report.open sample-0001"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = Shelf(tmp_path)
    made.lab(ago=timedelta(days=1))
    made.drill("sample", "every: 7d\n")
    return made


def lost(shelf, ago, verdict="aborted", findings=(), name="sample"):
    """A run that brought back 9 rows less than it removed."""
    path = shelf.result(name, verdict, ago, 4) / "result.json"
    steps = [
        {"id": step, "action": "any.thing", "host": "a", "status": "done", "seconds": 1.0, "facts": facts}
        for step, facts in (("inject.1", removed(119131)[1]), ("restore.1", restored(119122)[1]))
    ]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"steps": steps, "findings": list(findings)}, indent=2))


def printed(shelf, capsys, *, as_json=False):
    capsys.readouterr()
    for show in (overview.drills, overview.runs, due.show):
        show(Project(shelf.root), everything=True, as_json=as_json)
        yield capsys.readouterr().out


def test_every_list_tells_of_a_loss_that_the_next_run_replaced(shelf, capsys):
    lost(shelf, timedelta(hours=2))
    assert all("earlier run" not in text for text in printed(shelf, capsys)), "its own row tells"
    shelf.result("sample", "passed", timedelta(hours=1))
    listed, runs, waiting = printed(shelf, capsys)
    for text in (listed, waiting):
        assert [line for line in text.splitlines() if "earlier run" in line] == [f"  {LINE}"]
    assert f"! sample: {LINE[2:]}" in runs.splitlines()
    shelf.result("sample", "passed", timedelta(minutes=1))
    assert all("earlier run" not in text for text in printed(shelf, capsys)), "the run before the newest one passed"


def test_a_run_that_did_not_pass_does_not_end_the_search(shelf, capsys):
    lost(shelf, timedelta(hours=3))
    shelf.result("sample", "failed", timedelta(hours=2), 1)
    shelf.result("sample", "refused", timedelta(hours=1), 4)
    assert all(LINE[2:] in text for text in printed(shelf, capsys))


def test_a_run_below_a_refused_one_is_no_earlier_run_of_its_own_row(shelf, capsys):
    lost(shelf, timedelta(hours=3))
    lost(shelf, timedelta(hours=2))
    shelf.result("sample", "refused", timedelta(hours=1), 4)
    assert all(LINE[2:] in text for text in printed(shelf, capsys)), "the loss before that of the row"
    assert all("2 earlier runs" not in text for text in printed(shelf, capsys))


def test_the_command_opens_the_run_of_the_row(shelf, capsys):
    """The name of the drill selects its newest run, which may be a refused one that the row leaves out, or in another place."""
    lost(shelf, timedelta(hours=2), findings=[{"code": "a", "severity": "medium", "title": "a"}])
    listed, _, waiting = printed(shelf, capsys)
    for text in (listed, waiting):
        assert re.search(r"! 1 .* open, ≥ 9 rows lost: drillbook report.open sample$", text, re.MULTILINE)
    shelf.result("sample", "refused", timedelta(hours=1), 4)
    listed, _, waiting = printed(shelf, capsys)
    for text in (listed, waiting):
        assert re.search(r"! 1 .* open, ≥ 9 rows lost: drillbook report.open sample-0001$", text, re.MULTILINE)
    assert Project(shelf.root).run("sample-0001").name.endswith("-sample-0001")


def test_the_json_names_the_run_and_what_it_lost(shelf, capsys):
    lost(shelf, timedelta(hours=2))
    shelf.result("sample", "passed", timedelta(hours=1))
    listed, _, waiting = map(json.loads, printed(shelf, capsys, as_json=True))
    (drill,) = (drill for drill in listed["drills"] if drill["name"] == "sample")
    (row,) = (row for row in waiting["rows"] if row["drill"] == "sample")
    assert drill["earlier_losses"] == row["earlier_losses"]
    (told,) = row["earlier_losses"]
    assert told["run"].endswith("-sample-0001")
    assert told["lost"] == "at least 9 rows lost"


def test_a_short_list_shows_such_a_drill_like_one_with_open_findings(shelf, capsys):
    lost(shelf, timedelta(hours=2))
    shelf.result("sample", "passed", timedelta(hours=1))
    for number in range(12):
        shelf.drill(f"later-{number}", "every: 7d\n")
        shelf.result(f"later-{number}", "passed", timedelta(minutes=number))
    capsys.readouterr()
    overview.drills(Project(shelf.root))
    assert LINE in capsys.readouterr().out


FINDING = {"code": "removed-data-missing", "severity": "medium", "title": "rows are missing"}


def test_every_list_names_the_loss_of_the_run_that_it_shows(shelf, capsys):
    lost(shelf, timedelta(hours=2), findings=[FINDING, FINDING | {"code": "aborted"}])
    listed, runs, waiting = printed(shelf, capsys)
    for text in (listed, waiting):
        assert "  ! 2 medium findings open, ≥ 9 rows lost: drillbook report.open sample" in text.splitlines()
    assert "! ≥ 9 rows lost: drillbook report.open sample-0001" in runs.splitlines()
    assert all("earlier run" not in text for text in (listed, runs, waiting))


def test_a_loss_is_named_without_open_findings_and_at_most_once(shelf, capsys):
    lost(shelf, timedelta(hours=2))
    for text in printed(shelf, capsys):
        assert text.count("! ≥ 9 rows lost: drillbook report.open sample") == 1
    shelf.result("sample", "aborted", timedelta(hours=1), 4)
    for text in printed(shelf, capsys):
        assert text.count("9 rows lost") == 1
        assert LINE[2:] in text


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("verdict", ["aborted", "failed"])
def test_a_run_that_did_not_pass_has_the_mark_of_a_loss(shelf, capsys, monkeypatch, verdict, width):
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    lost(shelf, timedelta(hours=2), verdict, findings=[FINDING])
    for text in printed(shelf, capsys):
        row = next(line for line in text.splitlines() if "sample" in line)
        assert f"{verdict} ! § " in row or (width == 80 and "never passed § " in row), text
        assert text.count("§ data did not come back; the RPO of a passed run is then met, but not proven.") == 1
        assert text.count("§") == 2
        assert max(map(len, text.splitlines())) <= width


def test_the_list_of_runs_leaves_out_the_losses_of_newest_runs_first(shelf, capsys):
    for number in range(5):
        shelf.drill(f"other-{number}", "every: 7d\n")
        lost(shelf, timedelta(hours=2), name=f"other-{number}")
    lost(shelf, timedelta(hours=4))
    shelf.result("sample", "failed", timedelta(hours=3), 1)
    _, runs, _ = printed(shelf, capsys)
    lines = [line for line in runs.splitlines() if line.startswith("! ") and "lost" in line]
    assert len(lines) == finding_lines.MOST
    assert lines[-1].startswith("! sample: earlier run reported")


def test_the_json_of_every_list_has_the_loss_of_the_newest_run(shelf, capsys):
    lost(shelf, timedelta(hours=2))
    listed, runs, waiting = map(json.loads, printed(shelf, capsys, as_json=True))
    (drill,) = (drill for drill in listed["drills"] if drill["name"] == "sample")
    (row,) = (row for row in waiting["rows"] if row["drill"] == "sample")
    assert {drill["last"]["lost"], runs[0]["lost"], row["last_lost"]} == {"at least 9 rows lost"}
    assert {drill["last"]["marks"], runs[0]["marks"], row["last_marks"]} == {"§"}
    assert remarks.SHORT_MARK == newest_runs.LOST


def test_findings_come_before_earlier_losses():
    loss = Loss("20261201T160000.000Z-sample-0001", "2026-12-01T16:00:00Z", "at least 9 rows lost")
    opened = "! 1 high finding open: drillbook report.open sample"
    assert finding_lines.below("sample", "1 high finding", "", [loss]) == [opened, LINE]
    assert finding_lines.below("sample", "", "", ()) == []


@pytest.mark.parametrize("verdict", ["aborted", "passed"])
def test_an_unfinished_run_hides_no_loss_of_the_runs_before_it(shelf, capsys, verdict):
    lost(shelf, timedelta(hours=3))
    lost(shelf, timedelta(hours=2), verdict)
    shelf.open("sample", timedelta(hours=1))
    listed, _, waiting = printed(shelf, capsys)
    told = "2 earlier runs reported losses, the newest" if verdict == "aborted" else "earlier run reported"
    for text in (listed, waiting):
        (line,) = [line for line in text.splitlines() if "earlier run" in line]
        assert line == f"  ! {told} ≥ 9 rows lost: drillbook report.open sample-0002"


def test_a_short_list_chooses_drills_that_lost_data_before_others_that_failed(shelf, capsys):
    lost(shelf, timedelta(hours=9), findings=[FINDING])
    for number in range(12):
        shelf.drill(f"other-{number}", "every: 7d\n")
        shelf.result(f"other-{number}", "failed", timedelta(hours=1), 1)
    overview.drills(Project(shelf.root))
    text = capsys.readouterr().out
    assert "not passed in the last run" in text, "not all drills fit"
    assert "9 rows lost: drillbook report.open sample" in text


@pytest.mark.parametrize("verdict", ["aborted", "passed"])
def test_a_suite_tells_what_its_drills_lost(shelf, capsys, verdict):
    """Its report and its rows are where a reader looks first."""
    (shelf.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 90d\ndrills: [sample]\n")
    lost(shelf, timedelta(hours=2), verdict)
    (inner,) = [state.folder for state in map(RunState, Project(shelf.root).runs())]
    suite = inner.parent / shelf.run_id("all", timedelta(hours=2))
    suite.mkdir()
    told = json.loads((inner / "result.json").read_text())
    result = {"schema": "drillbook/suite/1", "run": suite.name, "suite": "all", "environment": "lab"}
    result |= {"runs": [{"run": inner.name, "drill": "sample", "folder": inner.name}]}
    result |= {key: told[key] for key in ("verdict", "exit", "started")}
    (suite / "result.json").write_text(json.dumps(result, indent=2))
    inner.rename(suite / inner.name)
    listed, runs, waiting = printed(shelf, capsys)
    for text in (listed, waiting):
        assert re.search(r"! ≥ 9 rows lost in sample: drillbook report.open all$", text, re.MULTILINE), text
    for text in (listed, runs, waiting):
        assert re.search(rf"^.*\ball\b.*{verdict}.*§|{verdict} §.*\ball\b", text, re.MULTILINE), text
        assert remarks.LOST_DATA in " ".join(text.split())
    assert runs.count("9 rows lost") == 1, "the row of the drill is right below that of the suite"
    drills, *_ = (json.loads(text) for text in printed(shelf, capsys, as_json=True))
    (whole,) = [drill for drill in drills["drills"] if drill["suite"]]
    assert whole["last"]["lost"] == "at least 9 rows lost in sample"
    assert whole["last"]["marks"] == "§"
