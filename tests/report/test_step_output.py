"""The remedy of a failed step points at its output only if the evidence has it."""

import json
import re
import sys

import pytest

from drillbook.findings import CATALOGUE, finding
from drillbook.judge.result import StepResult
from drillbook.report import step_output
from tests.program import Folder, step
from tests.report import samples

EVIDENCE = CATALOGUE["step-failed"].remedy
FILE = {"file": "evidence/verify.1.a.stdout", "sha256": "0", "bytes": 12}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def reports(folder):
    """The texts of the report of the newest run that a person reads."""
    return [re.sub(r"\s+", " ", (folder.latest / name).read_text()) for name in ("report.md", "report.html", "junit.xml")]


def test_a_step_with_an_error_and_without_output_says_that_there_is_none(folder):
    query = "import sqlite3; sqlite3.connect(':memory:').execute('SELECT nope')"
    folder.write("verify:\n" + step([sys.executable, "-c", query]))
    done = folder.run("drill", "sample")
    assert done.returncode == 1, done.stdout + done.stderr
    (found,) = [one for one in folder.result()["findings"] if one["code"] == "step-failed"]
    assert found["remedy"] == EVIDENCE, "result.json is as of older versions"
    assert not list(folder.latest.glob("evidence/verify*"))
    assert "Correct the error that the step reported" in re.sub(r"\s+", " ", done.stdout)
    for text in [*reports(folder), re.sub(r"\s+", " ", done.stdout)]:
        assert "no such column: nope" in text
        assert "output in the evidence" not in text
        assert step_output.WITHOUT in text


def test_a_step_that_kept_its_output_leads_to_it(folder):
    argv = json.dumps(["sh", "-c", "echo told; exit 1"])
    folder.write(f"verify:\n  - command.run: {{argv: {argv}, effect: read, keep: true}}\n    hosts: controller\n")
    assert folder.run("drill", "sample").returncode == 1
    assert [path.read_text() for path in folder.latest.glob("evidence/verify*")] == ["told\n"]
    assert any(EVIDENCE.replace("'", "&#39;") in text or EVIDENCE in text for text in reports(folder))
    assert not any(step_output.WITHOUT in text for text in reports(folder))


def shown(facts, **more):
    ended = StepResult(id="verify.1", action="command.run", host="a", status="error", seconds=1.0, facts=facts)
    found = finding("step-failed", **{"step": "verify.1", "host": "a", **more})
    return step_output.shown(found, samples.result(steps=(ended,))).remedy


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        ({}, step_output.WITHOUT),
        ({"stdout": "file evidence/x"}, step_output.WITHOUT),
        ({"evidence": {**FILE, "bytes": 0}}, step_output.WITHOUT),
        ({"evidence": FILE}, EVIDENCE),
        ({"stages": [{"log": FILE}]}, EVIDENCE),
    ],
)
def test_only_a_file_with_content_counts(facts, remedy):
    assert shown(facts) == remedy


def test_other_remedies_and_findings_stay():
    assert shown({}, remedy="Look at it.") == "Look at it."
    assert shown({}, step=None) == EVIDENCE
    assert shown({"evidence": FILE}, host="b") == step_output.WITHOUT
    assert shown({"evidence": FILE}, host=None) == EVIDENCE
    other = finding("not-confirmed", step="verify.1", host="a")
    assert step_output.shown(other, samples.passed().result) == other
