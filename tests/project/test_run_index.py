"""Index of a project: it includes drills and suites that never ran, and runs whose controller was killed."""

import os
import re
import shutil
import time

import pytest

from drillbook.journal.journal import Journal
from drillbook.project import run_index
from drillbook.project.project import Project
from drillbook.redact import Redactor
from tests import waiting
from tests.program import Folder, step
from tests.signers import waits_at_the_end


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path)
    for name in ("sample", "idle"):
        folder.write("restore:\n" + step(["true"]), name)
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    return folder


def page(folder):
    return folder.root / "reports" / "index.html"


def killed(folder):
    """A run whose controller was killed after it wrote the reports, and before it wrote the index. Return its name."""
    waits_at_the_end(folder, "idle")
    controller = folder.start("drill", "idle", "--quiet")
    waiting.until((folder.root / "signing").exists, "the signature of the run")
    controller.kill()
    controller.wait()
    (folder.root / "go").touch()
    (run,) = (path.parent.name for path in folder.root.glob("reports/*-idle-*/result.json"))
    assert run not in page(folder).read_text()
    return run


def test_drills_that_never_ran_are_named(folder):
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample, idle]\n")
    run_index.write(Project(folder.root))
    text = page(folder).read_text()
    assert "<b>Drills never run:</b> <bdi>idle</bdi></p>" in text
    assert "<b>Suites never run:</b> <bdi>all</bdi></p>" in text
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    assert "<b>Suites never run:</b> <bdi>all</bdi></p>" in page(folder).read_text()


def test_the_schedule_of_a_drill_that_could_only_fail_in_the_lab_is_not_counted(folder):
    project = Project(folder.root)
    drill = folder.root / "drills" / "routine-database.yml"
    drill.write_text("drill: routine-database\ntitle: Dump\nservice: database\nevery: 7d\n")
    services = "services: {database: {kind: postgres, host: a}}\n"
    (folder.root / "inventory" / "lab.yml").write_text(f"environment: lab\nlab: embedded\n{services}")
    run_index.write(project)
    assert "2 drills never ran." in page(folder).read_text()
    (folder.root / "inventory" / "lab.yml").write_text(f"environment: lab\n{services}")
    run_index.write(project)
    assert "2 drills never ran (with a schedule: 1 drill)." in page(folder).read_text()


def test_the_newest_audit_and_its_summary_are_linked(folder):
    """The index links to them right after the audit, and after the next run. The links lead to the files."""
    assert "Newest audit" not in page(folder).read_text()
    folder.run("audit", "--since", "2026-01-01", "--until", "2026-12-31")
    folder.run("audit", "--since", "2026-04-01", "--until", "2026-06-30", "--out", str(folder.root / "elsewhere"))
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    found = re.search(r'Newest audit: <a href="([^"]+)">(.*?)</a>, and its <a href="([^"]+)">', page(folder).read_text())
    assert found
    assert "elsewhere" not in found[1]
    assert all((folder.root / "reports" / found[number]).is_file() for number in (1, 3))
    folder.run("audit", "--since", "2026-02-01", "--until", "2026-02-28")
    text = page(folder).read_text()
    assert 'href="audit-2026-02-01-2026-02-28/audit.html"' in text
    shutil.rmtree(folder.root / "reports" / "audit-2026-02-01-2026-02-28")
    (folder.root / "reports" / found[3]).unlink()
    folder.run("report", "sample")
    text = page(folder).read_text()
    assert f'Newest audit: <a href="{found[1]}">' in text
    assert "summary for management" not in text


@pytest.mark.parametrize("task", ["drill.list", "drill.due", "report.list", "report.open", "audit", "drill.recover"])
def test_a_run_whose_controller_was_killed_before_the_index_is_in_the_index_again(folder, task):
    older = folder.latest.name
    run = killed(folder)
    assert folder.latest.name == older
    folder.run(task)
    assert run in page(folder).read_text()
    assert folder.latest.name == run


def test_an_index_that_shows_all_runs_is_not_written_again(folder):
    before = page(folder).stat()
    for task in ("drill.list", "drill.due", "report.list", "report.open", "drill.recover"):
        folder.run(task)
    assert page(folder).stat().st_ino == before.st_ino


def test_a_run_without_a_result_is_in_progress_in_the_index_until_its_controller_is_dead(folder):
    latest = folder.latest
    begun = folder.root / "reports" / latest.name.replace("-sample-", "-idle-")
    begun.mkdir()
    (begun / "journal.jsonl").write_bytes((latest / "journal.jsonl").read_bytes().splitlines(keepends=True)[0])
    controller = Journal.resume(begun, Redactor([]), origin=time.monotonic())
    try:
        run_index.refresh(Project(folder.root))
        text = page(folder).read_text()
        assert begun.name in text
        assert "in progress when this page was written; to see if it still is: <code" in text
        before = page(folder).stat().st_ino
        os.utime(begun / "journal.jsonl")
        run_index.refresh(Project(folder.root))
        assert page(folder).stat().st_ino == before, "the page says already that the run is in progress"
    finally:
        controller.close()
    os.utime(begun / "journal.jsonl", (1000, 1000))
    run_index.refresh(Project(folder.root))
    text = page(folder).read_text()
    assert f"drill.recover {begun.name}" in text, "the page is newer than the last event of the run"
    assert "in progress when" not in text
    assert folder.latest == latest


def test_a_run_is_in_the_index_from_its_begin_and_can_be_recovered_from_there_after_its_controller_died(folder):
    folder.write("restore:\n" + step(["sh", "-c", "kill -9 $PPID; sleep 1"]), "idle")
    assert folder.run("drill", "idle", "--quiet").returncode < 0
    (run,) = (path.name for path in folder.root.glob("reports/*-idle-*"))
    text = page(folder).read_text()
    assert "<bdi>idle</bdi>, begun " in text
    assert run not in text
    assert folder.run("drill.list").returncode == 0
    text = page(folder).read_text()
    assert f'its controller died; recover it: <code class="command">drillbook drill.recover {run}</code>' in text
    assert "In progress" not in text
    assert "-sample-" in folder.latest.name, "the run has no report yet"
    folder.run("drill.recover")
    assert folder.latest.name == run


def test_no_index_is_written_under_dry(folder):
    run = killed(folder)
    assert folder.run("--dry", "drill.due").returncode in (0, 1)
    assert run not in page(folder).read_text()


def test_the_link_is_not_set_back_to_an_older_run(folder):
    older = folder.latest
    assert folder.run("drill", "idle", "--quiet").returncode == 0
    newer = folder.latest
    os.utime(older / "result.json")
    before = page(folder).stat()
    run_index.refresh(Project(folder.root))
    assert page(folder).stat().st_ino != before.st_ino
    assert folder.latest == newer


def test_a_copy_of_reports_and_a_damaged_result_are_left_as_they_are(folder):
    run = killed(folder)
    result = folder.root / "reports" / run / "result.json"
    for damaged in ("{}", "[]", '{"suite": 1, "runs": 7}'):
        result.write_text(damaged)
        assert folder.run("report.list").returncode == 0
    (folder.root / "drills").rename(folder.root / "moved")
    page(folder).unlink()
    assert folder.run("report.list").returncode == 0
    assert not page(folder).exists()
