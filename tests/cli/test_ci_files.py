"""Files for CI: commands to install and run, output, uploads; and validity by the schemas of GitHub and GitLab."""

import re
import subprocess

import pytest
import yaml

from drillbook.cli import ci_files, scaffold
from drillbook.cli.ci_files import Job
from drillbook.errors import UsageError
from tests.cli.ci_schema import assert_fits

GITHUB, GITLAB = ".github/workflows/drills.yml", ".gitlab-ci.yml"
JOBS = pytest.mark.parametrize("job", [scaffold.LAB_JOB, scaffold.REHEARSAL_JOB], ids=lambda job: job.suite)
WHEEL = "https://packages.example.org/drillbook-1.0.0-py3-none-any.whl"


@JOBS
@pytest.mark.parametrize(("name", "schema"), [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")])
def test_the_files_fit_the_schema_of_their_service(tmp_path, job, name, schema):
    path = tmp_path / "file.yml"
    path.write_text(ci_files.contents(job)[name])
    assert_fits(path, schema)


@JOBS
def test_nothing_is_installed_that_anybody_else_could_register(tmp_path, job):
    """Anybody could register the name of a distribution that is not released yet."""
    content = ci_files.contents(job)
    for name in (GITLAB, GITHUB):
        installs = [line for line in content[name].splitlines() if "pip install" in line]
        assert installs
        for line in installs:
            assert "--require-hashes" in line
            assert "drillbook" not in line.partition("pip install")[2].partition("&&")[0]
        for used in re.findall(r"uses: \S+@(\S+)", content[name]):
            assert re.fullmatch("[0-9a-f]{40}", used), "a tag can be moved"
        assert "latest" not in re.sub("reports/latest", "", content[name])
    assert requirements(content) == [], "the user names the source"
    script = next(line for line in content[GITHUB].splitlines() if "test -s" in line)
    done = subprocess.run(
        ["sh", "-c", script.partition("run: ")[2]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "requirements.in" in done.stdout) == (1, True)


def requirements(content):
    return [line for line in content["requirements.in"].splitlines() if line and not line.startswith("#")]


def test_the_source_is_the_one_that_the_user_names():
    assert requirements(ci_files.contents(scaffold.LAB_JOB, WHEEL)) == [f"drillbook[lab] @ {WHEEL}"]
    assert requirements(ci_files.contents(scaffold.REHEARSAL_JOB, WHEEL)) == [f"drillbook @ {WHEEL}"]
    with pytest.raises(UsageError, match="--source must be the URL"):
        ci_files.contents(scaffold.LAB_JOB, "drillbook")


def test_a_new_project_says_what_is_left_to_fill_in(tmp_path, capsys):
    scaffold.init(tmp_path / "a")
    assert "write the URL of Drillbook into requirements.in" in capsys.readouterr().out
    scaffold.init(tmp_path / "b", source=WHEEL)
    assert "name the source" not in capsys.readouterr().out
    assert WHEEL in (tmp_path / "b" / "requirements.in").read_text()


@JOBS
def test_the_suite_runs_on_a_schedule_with_a_summary_and_without_raw_evidence(job):
    content = ci_files.contents(job)
    github, gitlab = yaml.safe_load(content[GITHUB]), yaml.safe_load(content[GITLAB])["drills"]
    assert github[True]["schedule"][0]["cron"]
    assert "schedule" in gitlab["rules"][0]["if"]
    steps = github["jobs"]["drills"]["steps"]
    command = f"drillbook drill {job.suite} --inventory {job.inventory} --assume no"
    assert any(command in step.get("run", "") for step in steps)
    assert any(command in line for line in gitlab["script"])
    (summary,) = (step for step in steps if "GITHUB_STEP_SUMMARY" in step.get("run", ""))
    assert summary["if"] == "always()"
    assert "report.md" in summary["run"]
    assert "report.md" in gitlab["after_script"][0]
    (upload,) = (step for step in steps if "upload-artifact" in step.get("uses", ""))
    assert "!reports/**/evidence/**" in upload["with"]["path"].split()
    assert gitlab["artifacts"]["exclude"] == ["reports/**/evidence/**/*"]


@pytest.mark.parametrize("report", ["# Passed\n", None])
def test_the_summary_is_the_report_of_the_newest_run(tmp_path, report):
    step = next(line for line in ci_files.contents(Job("s", "lab", lab=True))[GITHUB].splitlines() if "STEP_SUMMARY" in line)
    if report:
        (tmp_path / "reports" / "latest").mkdir(parents=True)
        (tmp_path / "reports" / "latest" / "report.md").write_text(report)
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    subprocess.run(["sh", "-c", step.partition("run: ")[2]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "summary").exists() == bool(report)
