"""Files for CI: commands to install and run, output, uploads; and validity by the schemas of GitHub and GitLab."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from drillbook.cli import ci_files, scaffold
from drillbook.cli.ci_files import Job
from drillbook.errors import UsageError
from tests.cli.ci_schema import assert_fits
from tests.program import Folder

GITHUB, GITLAB = ".github/workflows/drills.yml", ".gitlab-ci.yml"
JOBS = pytest.mark.parametrize("job", [scaffold.LAB_JOB, scaffold.REHEARSAL_JOB], ids=lambda job: job.name)
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
    command = f"drillbook drill {job.name} --inventory {job.inventory} --assume no"
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


@pytest.mark.parametrize("report", ["# Passed\n", None])
def test_the_report_is_a_section_of_the_log_at_gitlab_and_a_link_in_a_merge_request(tmp_path, report):
    """A section begins and ends with a line that GitLab documents: https://docs.gitlab.com/ci/jobs/job_logs/."""
    job = yaml.safe_load(ci_files.contents(Job("s", "lab", lab=True))[GITLAB])["drills"]
    if report:
        (tmp_path / "reports" / "latest").mkdir(parents=True)
        (tmp_path / "reports" / "latest" / "report.md").write_text(report)
    (script,) = job["after_script"]
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    section = rb"\x1b\[0Ksection_start:\d{10,}:drill_report\r\x1b\[0KReport of the drills\n# Passed\n\x1b\[0Ksection_end:\d{10,}:drill_report\r\x1b\[0K\n"
    assert re.fullmatch(section if report else b"", done.stdout), done.stdout
    artefacts = job["artifacts"]
    assert artefacts["expose_as"] == "Drill reports"
    assert artefacts["paths"] == ["reports/"], "GitLab exposes a folder only if its path ends with a slash"
    assert artefacts["reports"]["junit"] == "reports/latest/junit.xml"


def uploads_of_github(content):
    steps = yaml.safe_load(content[GITHUB])["jobs"]["drills"]["steps"]
    (upload,) = (step for step in steps if "upload-artifact" in step.get("uses", ""))
    wanted, *left_out = upload["with"]["path"].split()
    return wanted, [one.removeprefix("!") for one in left_out]


def uploads_of_gitlab(content):
    artefacts = yaml.safe_load(content[GITLAB])["drills"]["artifacts"]
    (wanted,) = artefacts["paths"]
    return wanted, artefacts["exclude"]


def glob(pattern):
    """Regular expression for a pattern of paths, in which ``**`` stands for any folders."""
    parts = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*)", pattern))


@pytest.mark.parametrize("uploads", [uploads_of_github, uploads_of_gitlab])
def test_what_is_uploaded_of_a_run_holds_no_whole_output_and_no_secret(tmp_path, uploads):
    """The command prints 20,000 characters and a secret. What is uploaded is read as it lies in the folder of a real run."""
    folder = Folder(tmp_path)
    folder.environment["OWN"] = "s3cr3t-of-the-shop"
    inventory = tmp_path / "inventory" / "lab.yml"
    keys = "access_key: !env OWN, secret_key: !env OWN"
    store = f"store: {{kind: s3, host: controller, endpoint: 'http://127.0.0.1:1', bucket: b, {keys}}}"
    inventory.write_text(inventory.read_text().replace("services: {", f"services: {{{store}, "))
    script = 'i=10000; while test $i -lt 12000; do echo "line-$i"; i=$((i + 1)); done; echo "$KEY"'
    argv = json.dumps(["sh", "-c", script])
    folder.write(
        f"verify:\n  - command.run: {{argv: {argv}, effect: read, keep: true, env: {{KEY: '{{{{ services.store.secret_key }}}}'}}}}\n"
        "    hosts: controller\n"
    )
    assert folder.run("drill", "sample").returncode == 0
    wanted, left_out = uploads(ci_files.contents(scaffold.LAB_JOB))
    texts = {}
    for path in tmp_path.rglob("*"):
        name = path.relative_to(tmp_path).as_posix()
        if path.is_file() and name.startswith(wanted) and not any(re.fullmatch(glob(one), name) for one in left_out):
            texts[name] = path.read_text()
    assert {"report.html", "report.md", "junit.xml", "result.json", "journal.jsonl"} <= {
        name.rpartition("/")[2] for name in texts
    }
    whole = "".join(path.read_text() for path in (folder.latest / "evidence").iterdir())
    assert len(set(re.findall(r"line-\d+", whole))) == 2000, "this is not uploaded"
    for name, text in texts.items():
        assert len(set(re.findall(r"line-\d+", text))) <= 4000 / len("line-10000\n"), name
        assert "s3cr3t-of-the-shop" not in text, name
    shutil.rmtree(folder.latest / "evidence")
    verified = folder.run("report.verify")
    assert (verified.returncode, "are missing: evidence/verify.1" in " ".join(verified.stdout.split())) == (1, True)
