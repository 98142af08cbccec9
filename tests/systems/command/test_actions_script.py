"""command.script: the team's own script, with its digest and the durations of its stages."""

import hashlib

import pytest

from drillbook.judge.result import Verdict
from tests.engine.test_runner import Bench

SCRIPT = """\
#!/bin/sh
echo "::stage fetch $1"
echo "::stage load"
echo "pass=$WORD in $(pwd)"
exit "${2:-0}"
"""


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    (tmp_path / "restore.sh").write_text(SCRIPT)
    (tmp_path / "restore.sh").chmod(0o755)
    return made


def run(bench, more="arguments: [newest]", path="restore.sh"):
    params = f"path: {bench.root}/{path}, effect: write, env: {{WORD: x}}, cwd: /usr, {more}"
    return bench.run(f"verify:\n  - command.script: {{{params}}}\n    hosts: controller\n")


def test_digest_stages_and_output(bench):
    view = run(bench)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    facts = view.result.steps[0].facts
    assert facts["sha256"] == hashlib.sha256(SCRIPT.encode()).hexdigest()
    assert [one["name"] for one in facts["stages"]] == ["fetch newest", "load"]
    assert all(one["seconds"] >= 0 for one in facts["stages"])
    assert facts["stdout"].endswith("pass=x in /usr")
    assert "::stage load" in (bench.folder / facts["evidence"]["file"]).read_text()


def test_a_failure_keeps_the_stages(bench):
    view = run(bench, "arguments: [newest, '3']")
    assert view.result.verdict is Verdict.FAILED
    assert "ended with status 3" in view.steps[0].message
    assert len(view.result.steps[0].facts["stages"]) == 2
    assert run(bench, "arguments: [newest, '3'], exit: [3]").result.verdict is Verdict.PASSED


def test_another_script_than_the_expected_is_not_run(bench):
    good = hashlib.sha256(SCRIPT.encode()).hexdigest()
    assert run(bench, f"sha256: '{good}'").result.verdict is Verdict.PASSED
    (bench.root / "restore.sh").write_text(f"#!/bin/sh\ntouch {bench.root}/ran\n")
    view = run(bench, f"sha256: '{good}'")
    assert view.result.verdict is Verdict.FAILED
    assert "is not the expected script; it was not run" in view.steps[0].message
    assert not (bench.root / "ran").exists()


def test_a_script_that_changes_while_it_runs_proves_nothing(bench):
    (bench.root / "restore.sh").write_text('#!/bin/sh\nprintf "\\n#\\n" >>"$0"\n')
    view = run(bench)
    assert view.result.verdict is Verdict.FAILED, view.steps[0].message
    assert "was changed while it ran" in view.steps[0].message


def test_a_script_without_execute_permission_runs_by_its_interpreter(bench):
    (bench.root / "restore.sh").chmod(0o600)
    assert run(bench, "arguments: [a], interpreter: [sh, -e]").result.verdict is Verdict.PASSED


def test_a_missing_script_refuses_the_drill(bench):
    view = run(bench, path="gone.sh")
    assert view.result.verdict is Verdict.REFUSED
    assert "gone.sh cannot be read" in view.result.findings[0].measured
