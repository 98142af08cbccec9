"""`drill.due` names an unfinished run and the command that recovers it."""

import json
import re
import socket
from datetime import timedelta

import pytest

from drillbook.cli import due, overview, write_metrics
from drillbook.journal.journal import FILE, read
from drillbook.judge.judge import judge
from drillbook.project.project import Project
from drillbook.report import publish
from tests.cli.test_overview import Shelf, announce
from tests.cli.test_stop import BREAK, started
from tests.needs import library
from tests.program import Folder, step


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    made = Shelf(tmp_path)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "lab.yml").write_text((tmp_path / "hosts.yml").read_text())
    made.drill("sample", "every: 7d\n")
    return made


def next_of(shelf, capsys):
    due.show(Project(shelf.root), dry=True)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    return lines[lines.index("Next") + 1 :][:3] if "Next" in lines else []


def test_an_unfinished_run_comes_before_the_drill_that_was_refused_because_of_it(shelf, capsys):
    shelf.lab(ago=timedelta(days=1))
    dead = shelf.open("sample", ago=timedelta(minutes=9))
    recover = f"recover the unfinished run drillbook drill.recover {dead.name}"
    assert next_of(shelf, capsys)[:2] == [recover, "then run sample again drillbook drill sample"]
    shelf.result("sample", "refused", timedelta(minutes=5), 4)
    assert next_of(shelf, capsys)[:2] == [recover, "then run sample again drillbook drill sample"]
    shelf.append(dead, "run.finished", {"residue": [], "unwritten": ""})
    assert "drill.recover" not in " ".join(next_of(shelf, capsys))


def test_changes_that_were_not_undone_are_named_when_nothing_is_due(shelf, capsys):
    shelf.lab(ago=timedelta(days=1))
    shelf.result("sample", "passed", timedelta(minutes=5))
    assert next_of(shelf, capsys) == []
    shelf.drill("other")
    left = shelf.result("other", "failed", timedelta(minutes=4), 5)
    result = json.loads((left / "result.json").read_text())
    (left / "result.json").write_text(json.dumps({**result, "residue": [{"what": "left"}]}))
    assert next_of(shelf, capsys)[0] == f"undo the remaining changes drillbook drill.recover {left.name}"


def test_the_json_names_the_unfinished_runs(shelf, capsys):
    shelf.lab(ago=timedelta(days=1))
    dead = shelf.open("sample", ago=timedelta(minutes=9))
    assert due.show(Project(shelf.root), dry=True, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["open"] == [{"run": dead.name, "state": "unfinished", "said": ""}]
    assert (told["exit"], told["to_recover"]) == (1, 1)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_status_warns_until_every_run_is_recovered(shelf, capsys, as_json):
    shelf.lab(ago=timedelta(days=1))
    shelf.result("sample", "passed", timedelta(minutes=20))

    def status(environment=""):
        return due.show(Project(shelf.root), environment=environment, as_json=as_json, dry=True)

    assert status() == 0
    dead = shelf.open("sample", ago=timedelta(minutes=9))
    assert (status(), status("lab")) == (1, 1)
    shelf.append(dead, "run.finished", {"residue": [], "unwritten": ""})
    assert status() == 0
    left = shelf.result("sample", "failed", timedelta(minutes=4), 5)
    result = json.loads((left / "result.json").read_text())
    (left / "result.json").write_text(json.dumps({**result, "residue": [{"what": "left"}]}))
    assert status() == 1


def test_the_metrics_count_unfinished_runs_until_they_are_recovered(shelf, tmp_path):
    """Also of a drill that has no other run. The run before a killed one passed, and none of its own metrics change."""
    library("prometheus_client")
    shelf.lab(ago=timedelta(days=1))
    shelf.drill("other", "every: 7d\n")
    shelf.result("sample", "passed", timedelta(minutes=20))
    dead = [shelf.open(name, ago=timedelta(minutes=9)) for name in ("sample", "other")]

    def counted():
        assert write_metrics.write(Project(shelf.root), tmp_path / "drillbook.prom") == 0
        lines = (tmp_path / "drillbook.prom").read_text().splitlines()
        found = (
            re.fullmatch(r'drillbook_unfinished_runs\{.*drill="(\w+)".*,service="app"\} (\d)\.0', line) for line in lines
        )
        return {match[1]: int(match[2]) for match in found if match}

    assert counted() == {"sample": 1, "other": 1}
    shelf.append(dead[0], "run.finished", {"residue": [], "unwritten": ""})
    assert counted() == {"sample": 0, "other": 1}


def printed(shelf, capsys, status=0):
    capsys.readouterr()
    assert due.show(Project(shelf.root), dry=True) == status
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_drill_with_an_unfinished_run_is_counted_apart(shelf, capsys):
    """Its schedule is kept, but nothing is fine while changes may remain: the row and the exit status say so."""
    shelf.lab(ago=timedelta(days=1))
    shelf.drill("other", "every: 7d\n")
    for name in ("sample", "other"):
        shelf.result(name, "passed", timedelta(minutes=20))
    assert printed(shelf, capsys)[-1] == "2 schedules: 2 ok"
    dead = shelf.open("sample", ago=timedelta(minutes=9))
    lines = printed(shelf, capsys, 1)
    assert lines[-1] == "2 schedules: 1 unfinished, 1 ok"
    (row,) = (line for line in lines if line.startswith("sample"))
    assert row.split().count("unfinished") == 2, "its state and its last run"
    assert "ok" not in row.split()
    assert row.endswith(" recover it"), "and not when it is due"
    shelf.append(dead, "run.finished", {"residue": [], "unwritten": ""})
    assert printed(shelf, capsys)[-1] == "2 schedules: 2 ok"


def test_a_row_with_an_unfinished_run_stays_in_the_short_list(shelf, capsys):
    shelf.lab(ago=timedelta(days=1))
    for number in range(12):
        shelf.drill(f"other-{number}", "every: 7d\n")
        shelf.result(f"other-{number}", "passed", timedelta(minutes=20))
    shelf.result("sample", "passed", timedelta(minutes=20))
    assert not any(line.startswith("sample ") for line in printed(shelf, capsys))
    shelf.open("sample", ago=timedelta(minutes=9))
    assert any(line.startswith("sample ") for line in printed(shelf, capsys, 1))


def test_a_drill_that_has_never_passed_is_counted_as_such(shelf, capsys):
    shelf.lab(ago=timedelta(days=1))
    shelf.open("sample", ago=timedelta(minutes=9))
    due.show(Project(shelf.root), dry=True)
    assert capsys.readouterr().out.splitlines()[-1] == "1 schedule: 1 never passed"


@pytest.mark.parametrize("verdict", ["aborted", "failed", "inconclusive"])
@pytest.mark.parametrize("columns", ["200", "60"])
def test_a_kept_schedule_does_not_hide_that_the_newest_run_did_not_end_well(shelf, capsys, monkeypatch, columns, verdict):
    """Drills that never ran do not hide it either. The state of the JSON stays that of the schedule."""
    monkeypatch.setenv("COLUMNS", columns)
    shelf.lab(ago=timedelta(days=1))
    for number in range(12):
        shelf.drill(f"other-{number}", "every: 7d\n")
        shelf.drill(f"new-{number}", "every: 7d\n")
        shelf.result(f"other-{number}", "passed", timedelta(minutes=20))
    shelf.result("sample", "passed", timedelta(minutes=20))
    shelf.result("sample", verdict, timedelta(minutes=5), 1)
    assert due.show(Project(shelf.root), dry=True) == 1, "by the drills that never ran"
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1].startswith("sample "), "the first row"
    assert verdict in lines[1].split()
    assert lines[1].endswith(" run it again")
    assert lines[2] == "again: drillbook drill sample"
    assert "25 schedules: 1 must run again, 12 never passed, 12 ok" in " ".join(lines)
    how = "failed" if verdict == "failed" else f"was {verdict}"
    at = lines.index("Next")
    first = "after a correction, " if verdict == "failed" else ""
    assert " ".join(lines[at + 1 : at + 5]).startswith(f"{first}run sample again, which {how} drillbook drill sample")
    due.show(Project(shelf.root), dry=True, as_json=True)
    (row,) = (row for row in json.loads(capsys.readouterr().out)["rows"] if row["drill"] == "sample")
    assert (row["state"], row["last_verdict"]) == ("due" if verdict == "failed" else "ok", verdict)


def test_the_next_step_is_to_repeat_the_run_that_was_aborted_if_nothing_else_is_due(shelf, capsys):
    shelf.lab(ago=timedelta(days=1))
    shelf.result("sample", "passed", timedelta(minutes=20))
    shelf.result("sample", "aborted", timedelta(minutes=5), 130)
    lines = printed(shelf, capsys)
    assert "read why sample was aborted drillbook report.open sample" in lines
    assert "then run it again drillbook drill sample" in lines
    assert lines[-1] == "1 schedule: 1 must run again"
    shelf.result("sample", "passed", timedelta(minutes=1))
    assert printed(shelf, capsys)[-1] == "1 schedule: 1 ok"


def test_the_next_steps_do_not_speak_of_the_run_before_the_unfinished_one(shelf, capsys):
    """Another drill that must run again comes after the drill of the unfinished run."""
    shelf.lab(ago=timedelta(days=1))
    shelf.drill("other", "every: 7d\n")
    for name in ("sample", "other"):
        shelf.result(name, "passed", timedelta(minutes=20))
        stopped = shelf.result(name, "aborted", timedelta(minutes=15), 4)
    dead = shelf.open("sample", ago=timedelta(minutes=9))
    assert next_of(shelf, capsys) == [
        f"recover the unfinished run drillbook drill.recover {dead.name}",
        "then run sample again drillbook drill sample",
        "read why other was aborted drillbook report.open other",
    ]
    shelf.result("other", "refused", timedelta(minutes=5), 4)
    assert next_of(shelf, capsys)[1:] == [
        "then run sample again drillbook drill sample",
        f"read why other was aborted drillbook report.open {stopped.name}",
    ], "a refused run tried nothing, so it does not stand for the aborted one"


@pytest.fixture
def killed(tmp_path):
    """A folder whose drill passed. Its next run, which has an RTO, was killed."""
    folder = Folder(tmp_path)
    folder.write("every: 7d\n" + BREAK + "restore:\n" + step(["true"]))
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = f"probes: [tcp.open: {{address: 127.0.0.1, port: {server.getsockname()[1]}}}]\n"
        folder.write(f"every: 7d\nobjectives: {{rto: 60s}}\n{probe}{BREAK}restore:\n" + step(["sleep", "60"]))
        with started(folder, "sample") as program:
            program.kill()
    return folder


def told(folder, task):
    return [" ".join(line.split()) for line in folder.run(task).stdout.splitlines()]


def test_after_its_recovery_every_list_shows_the_findings_of_a_killed_run(killed):
    """Each command is the end of its line, so that it can be copied, and no line repeats the next step of the table. Before the
    recovery, the index does not say that the run has no objective."""
    assert any(line.startswith("then run sample again drillbook drill sample") for line in told(killed, "drill.due"))
    page = (killed.root / "reports" / "index.html").read_text()
    row = page.split('<tr data-verdict="unfinished"')[1].split("</tr>")[0]
    assert ("not known: the run did not end" in row, "no objective" in row) == (True, False)
    assert killed.run("drill.recover").returncode == 0
    for task in ("drill.list", "drill.due"):
        lines = told(killed, task)
        at = next(number for number, line in enumerate(lines) if line.startswith("sample "))
        assert " aborted ! " in lines[at]
        assert lines[at].endswith(" run it again")
        assert re.fullmatch(r"! \d .* findings? open: drillbook report.open sample", lines[at + 1])
        facts = r"last passed \d{4}-\d\d-\d\d \d\d:\d\d; " if task == "drill.list" else ""
        assert re.fullmatch(f"{facts}again: drillbook drill sample", lines[at + 2]), "drill.due has a column for it"
    lines = told(killed, "report.list")
    assert any("aborted !" in line for line in lines)
    assert any(line.startswith("! = open findings of medium severity or higher") for line in lines)
    page = (killed.root / "reports" / "index.html").read_text()
    assert page.count('<span class="why state unverified short">! 1 ') == 3, "at the top, in its drill and in the runs"


def test_the_report_of_an_unfinished_run_does_not_change_the_word_for_it(shelf, capsys):
    """`invoke report` writes its result with the verdict `aborted`, which it gets only after its recovery."""
    shelf.lab(ago=timedelta(days=1))
    dead = announce(shelf, shelf.open("sample", ago=timedelta(minutes=9)))
    view = judge(read(dead / FILE))
    assert (view.result.verdict, view.result.finished) == ("aborted", None)
    publish.write_run(dead, view)
    publish.write_index(Project(shelf.root).reports)
    due.show(Project(shelf.root), dry=True)
    waiting = capsys.readouterr().out
    overview.drills(Project(shelf.root))
    listed = capsys.readouterr().out
    overview.runs(Project(shelf.root))
    page = (Project(shelf.root).reports / "index.html").read_text()
    for text in (waiting, listed, capsys.readouterr().out, page):
        assert "unfinished" in text
        assert "aborted" not in text.rpartition("</style>")[2]
    assert 'data-verdict="unfinished"' in page
    assert f"recover the unfinished run drillbook drill.recover {dead.name}" in " ".join(waiting.split())
    assert "residue" not in page.partition("<tbody>")[2], "as before the report was written"
