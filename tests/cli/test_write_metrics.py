"""`metrics.write` and `metrics.files`, and the metrics that each run writes when `drillbook.yml` names a file."""

import json
import re
import sys

import pytest

from tests.needs import library
from tests.program import PROOF, Folder, step

GOOD = "every: 7d\n" + PROOF


@pytest.fixture
def folder(tmp_path):
    library("prometheus_client")
    made = Folder(tmp_path)
    made.write(GOOD)
    return made


def test_every_run_writes_the_file_of_the_settings(folder):
    (folder.root / "drillbook.yml").write_text("metrics: collector/drillbook.prom\n")
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    text = (folder.root / "collector" / "drillbook.prom").read_text()
    assert 'drillbook_last_proof_timestamp_seconds{drill="sample",environment="lab",service="app"} ' in text
    assert 'drillbook_verdict{drill="sample",environment="lab",service="app",verdict="passed"} 1.0' in text


def test_a_run_that_restored_nothing_is_no_proven_restore(folder):
    folder.write("every: 7d\nrestore:\n" + step(["true"]))
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    text = folder.run("metrics.write", "--stdout").stdout
    assert 'drillbook_last_proof_timestamp_seconds{drill="sample"' not in text
    assert 'drillbook_last_pass_timestamp_seconds{drill="sample",environment="lab",service="app"} ' in text
    assert 'drillbook_never_passed{drill="",environment="lab",service="app"} 1.0' in text
    done = folder.run("drill.due")
    assert done.returncode == 1
    assert "app: not proven" in done.stdout
    assert "1 schedule: 1 ok; 1 service without a proven restore" in done.stdout


def test_a_record_of_schedules_that_cannot_be_read_is_a_metric_and_a_torn_last_line_is_none(folder):
    assert folder.run("drill", "sample", "--quiet").returncode == 0
    folder.write(GOOD.replace("every: 7d", "every: 9d"))
    assert "drillbook_schedule_record_damaged 0.0" in folder.run("metrics.write", "--stdout").stdout
    record = folder.root / "reports" / "schedule.jsonl"
    whole = record.read_bytes()
    for content, value in ((whole + whole[:90], 0.0), (whole[:90] + b"\n" + whole, 1.0), (whole, 0.0)):
        record.write_bytes(content)
        assert f"drillbook_schedule_record_damaged {value}" in folder.run("metrics.write", "--stdout").stdout
    record.unlink()
    record.mkdir()
    assert "drillbook_schedule_record_damaged 1.0" in folder.run("metrics.write", "--stdout").stdout


def test_the_metrics_forget_a_retired_environment_until_it_exists_again(folder):
    folder.write("every: 7d\nguard: {environments: [lab, staging]}\n" + PROOF)
    staging = folder.root / "inventory" / "staging.yml"
    text = (folder.root / "inventory" / "lab.yml").read_text().replace("environment: lab", "environment: staging")
    staging.write_text(text)
    for name in ("lab", "staging"):
        assert folder.run("drill", "sample", "--quiet", "--inventory", name).returncode == 0

    def states():
        """Environments in the metrics of schedules."""
        found = folder.run("metrics.write", "--stdout").stdout
        return set(re.findall(r'drillbook_(?:never_passed|overdue_timestamp_seconds)\{.*environment="(\w+)"', found))

    assert states() == {"lab", "staging"}
    staging.unlink()
    assert states() == {"lab", "staging"}, "nobody retired it"
    done = folder.run("schedule.retire", "--environment", "staging", "--reason", "staging was removed")
    assert done.returncode == 0, done.stderr
    assert states() == {"lab"}
    (line,) = (folder.root / "reports" / "schedule.jsonl").read_text().splitlines()
    told = {key: json.loads(line)[key] for key in ("kind", "drill", "environment", "message")}
    assert told == {"kind": "retired", "drill": "", "environment": "staging", "message": "staging was removed"}
    staging.write_text(text)
    assert states() == {"lab", "staging"}


def test_without_settings_a_run_writes_none(folder):
    folder.run("drill", "sample", "--quiet")
    assert not list(folder.root.rglob("*.prom"))
    done = folder.run("metrics.write")
    assert done.returncode == 2
    assert "`metrics: FILE` in drillbook.yml" in done.stderr
    assert "drillbook_verdict" in folder.run("metrics.write", "--stdout").stdout
    assert folder.run("metrics.write", "x.prom", "--openmetrics").returncode == 0
    assert (folder.root / "x.prom").read_text().endswith("# EOF\n")


def test_metrics_that_cannot_be_written_do_not_change_the_result_of_a_run(folder):
    (folder.root / "drillbook.yml").write_text("metrics: drills/sample.yml/drillbook.prom\n")
    done = folder.run("drill", "sample", "--quiet")
    assert done.returncode == 0
    assert "the metrics cannot be written to" in done.stderr


def test_a_missing_package_is_named(folder, monkeypatch, capsys):
    from drillbook.cli import write_metrics
    from drillbook.errors import UsageError
    from drillbook.project.project import Project

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match="needs the extra `metrics`"):
        write_metrics.write(Project(folder.root), folder.root / "x.prom")


def test_the_files_for_monitoring(folder):
    done = folder.run("metrics.files", "monitoring")
    assert done.returncode == 0
    assert sorted(path.name for path in (folder.root / "monitoring").iterdir()) == [
        "drillbook.dashboard.json",
        "drillbook.rules.yml",
    ]
