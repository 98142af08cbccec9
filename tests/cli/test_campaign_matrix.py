"""Campaigns as CI jobs: valid by the schemas of GitHub and GitLab, and collected from the output of the jobs."""

import json
import shlex
import shutil

import pytest
import yaml

from drillbook import __version__
from drillbook.campaign import artefacts as artefacts_of
from drillbook.campaign.artefacts import Artefacts
from drillbook.campaign.attempt import Job
from drillbook.campaign.sites import SitesFile
from drillbook.cli import campaign_matrix
from drillbook.errors import UsageError
from tests.campaign.test_processes import campaign_of, count, counting, ends, events, runs, with_sites
from tests.cli.ci_schema import assert_fits
from tests.program import Folder

KINDS = pytest.mark.parametrize("kind", ["github", "gitlab"])


def sites(number, **more):
    return SitesFile.model_validate({"sites": {f"s{index}": {"inventory": "lab"} for index in range(number)}, **more})


def events_of(reports):
    """Return the events of the only campaign below a folder of reports."""
    (journal,) = reports.glob("campaigns/*/record/journal.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()]


def in_pipeline(tmp_path, name="p 7"):
    """Project of a CI job."""
    (tmp_path / "job").mkdir()
    job = Folder(tmp_path / "job")
    job.environment["DRILLBOOK_PIPELINE"] = name
    return job


@KINDS
def test_the_jobs_fit_the_schema_of_their_service(tmp_path, kind):
    path = tmp_path / "file.yml"
    path.write_text(campaign_matrix.rendered(kind, "sample", sites(5, waves=["50%"]), "all.yml", "production"))
    schema = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}[kind]
    assert_fits(path, schema)


@KINDS
def test_every_site_has_one_job_and_waits_for_the_wave_before(kind):
    made = yaml.safe_load(campaign_matrix.rendered(kind, "sample", sites(600, waves=["50%"], at_most=7), "all.yml"))
    jobs = (
        made["jobs"]
        if kind == "github"
        else {name: job for name, job in made.items() if name not in ("stages", "variables")}
    )
    found = []
    for name, job in jobs.items():
        if name == "collect":
            continue
        if kind == "github":
            part = job["strategy"]["matrix"]["site"]
            assert job["strategy"]["max-parallel"] == 7
            assert name == "wave-1" or job["needs"] == f"wave-{int(name[5:]) - 1}"
        else:
            part = [one["SITE"][0] for one in job["parallel"]["matrix"]]
            assert {one["SLOT"][0] for one in job["parallel"]["matrix"]} <= set("0123456")
        assert len(part) <= campaign_matrix.MOST[kind]
        found += part
    assert found == [f"s{index}" for index in range(600)]


@KINDS
def test_all_jobs_of_a_pipeline_know_its_name(kind):
    made = yaml.safe_load(campaign_matrix.rendered(kind, "sample", sites(2), "all.yml"))
    name = made["env" if kind == "github" else "variables"]["DRILLBOOK_PIPELINE"]
    assert ("github.run_id" if kind == "github" else "$CI_PIPELINE_ID") in name


def test_limits_that_ci_cannot_keep_are_refused():
    with pytest.raises(UsageError, match="of a group: north"):
        campaign_matrix.rendered("github", "sample", sites(2, groups={"north": {"at_most": 1}}), "all.yml")
    with pytest.raises(UsageError, match="is not a known CI service"):
        campaign_matrix.rendered("jenkins", "sample", sites(2), "all.yml")


def test_runs_of_jobs_are_collected_and_a_site_without_an_artefact_is_unknown(tmp_path):
    job = in_pipeline(tmp_path)
    counting(job)
    with_sites(job, 3, "waves: [50%]\n")
    made = job.run("campaign", "sample", "--sites", "all.yml", "--matrix", "github")
    assert made.returncode == 0, made.stderr
    jobs = yaml.safe_load(made.stdout)["jobs"]
    artefacts = tmp_path / "artefacts"
    for site in ("s0", "s1"):
        (command,) = (step["run"] for step in jobs["wave-1"]["steps"] if "--only" in step.get("run", ""))
        argv = shlex.split(command.replace("$SITE", site))[1:]
        done = job.run(*argv)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.move(job.root / "reports", artefacts / f"site-{site}")
        (artefacts / f"site-{site}" / "inner").mkdir()
    done = job.run("campaign.collect", "sample", "--sites", "all.yml", "--artefacts", str(artefacts))
    assert done.returncode == 3, done.stdout + done.stderr
    assert count(job) == 2
    found = ends(job)
    assert {site: end["state"] for site, end in found.items()} == {"s0": "passed", "s1": "passed", "s2": "unknown"}
    assert "left no artefact" in found["s2"]["message"]
    assert sorted(runs(job)) == sorted(found[site]["run"] for site in ("s0", "s1"))
    assert json.loads((campaign_of(job) / "result.json").read_text())["sites"]["unknown"] == 1


@pytest.mark.parametrize("old", ["p 6", ""])
def test_a_run_of_an_older_pipeline_is_not_used(tmp_path, old):
    """A runner kept the artefact of another pipeline with the same plan and version."""
    job = in_pipeline(tmp_path, old)
    counting(job)
    with_sites(job, 1)
    assert job.run("campaign", "sample", "--sites", "all.yml", "--only", "s0").returncode == 0
    artefacts = tmp_path / "artefacts"
    shutil.move(job.root / "reports", artefacts)
    argv = ("campaign.collect", "sample", "--sites", "all.yml", "--artefacts", str(artefacts))
    job.environment["DRILLBOOK_PIPELINE"] = ""
    done = job.run(*argv)
    assert done.returncode == 2
    assert "DRILLBOOK_PIPELINE does not name the CI pipeline" in done.stderr
    job.environment["DRILLBOOK_PIPELINE"] = "p 7"
    done = job.run(*argv)
    assert done.returncode == 3, done.stdout + done.stderr
    where = f"in the pipeline {old}" if old else "outside of a pipeline"
    assert "this campaign is not used, because the campaign began on " in done.stdout
    assert f" {where}, but the present pipeline is p 7; sites with a result: s0" in done.stdout
    assert ends(job)["s0"]["state"] == "unknown"
    assert events(job)[0]["data"]["pipeline"] == "p 7"


def test_a_run_is_not_used_when_a_later_one_of_its_site_did_not_end(tmp_path):
    """The runner kept the reports of the first attempt, and the second attempt was interrupted."""
    job = in_pipeline(tmp_path)
    counting(job)
    with_sites(job, 1)
    for _ in range(2):
        assert job.run("campaign", "sample", "--sites", "all.yml", "--only", "s0").returncode == 0
    journal = campaign_of(job) / "record" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    for count_of_lines in (1, 2):
        journal.write_text("".join(lines[:count_of_lines]))
        assert artefacts_of.found_in(job.root, "sample", "p 7") == ({}, [])
    journal.write_text("".join(lines))
    found, _ = artefacts_of.found_in(job.root, "sample", "p 7")
    assert found["s0"].campaign == campaign_of(job)


def needed(*results):
    """Context `needs` of GitHub for one job of each result, as `toJSON` writes it."""
    jobs = {f"wave-{number}": {"result": result, "outputs": {}} for number, result in enumerate(results, 1)}
    return json.dumps(jobs, indent=2)


def drilled(job, artefacts, site, attempt, *, good=True):
    """Drill a site as the CI job of this attempt does, and leave its artefact."""
    job.environment["DRILLBOOK_ATTEMPT"] = attempt
    (job.root / "good").touch() if good else (job.root / "good").unlink(missing_ok=True)
    assert job.run("campaign", "sample", "--sites", "all.yml", "--only", site).returncode == (0 if good else 1)
    shutil.move(job.root / "reports", artefacts / f"site-{site}")


def with_attempts(tmp_path, number):
    """Project of a CI job, whose drill passes when the file `good` exists, and the folder of the artefacts."""
    job = in_pipeline(tmp_path)
    counting(job, ["test", "-e", f"{job.root}/good"])
    with_sites(job, number)
    return job, tmp_path / "artefacts"


def collected(job, artefacts, needs, attempt="2"):
    """Collect the artefacts in a new job. Return the exit status, the output, and the end of each site."""
    shutil.rmtree(job.root / "reports", ignore_errors=True)
    job.environment |= {"DRILLBOOK_ATTEMPT": attempt, "DRILLBOOK_NEEDS": needs}
    done = job.run("campaign.collect", "sample", "--sites", "all.yml", "--artefacts", str(artefacts))
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    return done.returncode, " ".join(done.stdout.split()), ends(job)


@pytest.mark.parametrize(
    "needs",
    [
        needed("failure"),  # the runner was lost, or the upload failed
        needed("cancelled"),
        needed("success", "failure"),
        needed("success", "skipped"),
        "{}",
        "",  # the jobs were printed by an older version
    ],
    ids=["lost", "cancelled", "failure", "skipped", "no-job", "unset"],
)
def test_a_drill_that_was_interrupted_when_all_jobs_ran_again_did_not_pass(tmp_path, needs):
    """The runner of s0 died during the drill of attempt 2. GitHub hands over the artefact of attempt 1, which passed."""
    job, artefacts = with_attempts(tmp_path, 2)
    drilled(job, artefacts, "s0", "1")
    drilled(job, artefacts, "s1", "2")
    status, told, found = collected(job, artefacts, needs)
    assert status == 3
    assert {site: end["state"] for site, end in found.items()} == {"s0": "unknown", "s1": "passed"}
    assert "left no artefact in this attempt of the pipeline" in found["s0"]["message"]
    assert "the run passed, but attempt 2 made no run of this site, and DRILLBOOK_NEEDS does not show that all jobs" in told
    assert "run the failed jobs again until all succeed" in told


def test_a_pass_of_an_older_attempt_is_used_again_once_a_later_attempt_succeeds(tmp_path):
    """s1 failed in attempt 2, and passed in attempt 3. Both attempts ran s1 alone."""
    job, artefacts = with_attempts(tmp_path, 2)
    drilled(job, artefacts, "s0", "1")
    drilled(job, artefacts, "s1", "2", good=False)
    assert collected(job, artefacts, needed("failure"))[2]["s0"]["state"] == "unknown"
    for old in (artefacts / "site-s1", job.root / "reports"):
        shutil.rmtree(old)
    drilled(job, artefacts, "s1", "3")
    status, _, found = collected(job, artefacts, needed("success"), "3")
    assert (status, [found[site]["state"] for site in ("s0", "s1")]) == (0, ["passed", "passed"])


def test_a_pass_of_an_older_attempt_is_used_with_its_date_when_all_jobs_of_this_attempt_succeeded(tmp_path):
    """*Re-run failed jobs* ran s1 alone."""
    job, artefacts = with_attempts(tmp_path, 2)
    drilled(job, artefacts, "s0", "1")
    drilled(job, artefacts, "s1", "2")
    day = events_of(artefacts / "site-s0")[0]["at"][:10]
    status, _, found = collected(job, artefacts, needed("success", "success"))
    assert status == 0
    assert {site: end["state"] for site, end in found.items()} == {"s0": "passed", "s1": "passed"}
    assert found["s0"]["message"] == f"this result is from attempt 1 of {day}, because attempt 2 made no run of this site"
    assert found["s1"]["message"] == ""
    assert events(job)[0]["data"]["attempt"] == 2
    assert f"from attempt 1 of {day}" in (campaign_of(job) / "report.html").read_text()
    assert "from attempt 1" in (campaign_of(job) / "junit.xml").read_text()


@pytest.mark.parametrize("needs", [needed("failure"), needed("success"), ""], ids=["failure", "success", "unset"])
def test_a_failure_of_an_older_attempt_is_kept(tmp_path, needs):
    """*Re-run this job* ran another job, or the second drill of s0 was interrupted: no later run shows that s0 is better."""
    job, artefacts = with_attempts(tmp_path, 2)
    drilled(job, artefacts, "s0", "1", good=False)
    drilled(job, artefacts, "s1", "2")
    status, _, found = collected(job, artefacts, needs)
    assert status == 1
    assert {site: end["state"] for site, end in found.items()} == {"s0": "failed", "s1": "passed"}
    assert "from attempt 1 of 20" in found["s0"]["message"]
    assert not found["s0"]["message"].startswith("this result is from attempt 1")  # first the reason of the failure


def test_an_unknown_end_of_an_older_attempt_is_not_used(tmp_path):
    job, artefacts = with_attempts(tmp_path, 1)
    drilled(job, artefacts, "s0", "1")
    (run,) = artefacts.glob("*/2*/journal.jsonl")
    run.unlink()
    status, _, found = collected(job, artefacts, "", "1")
    assert (status, found["s0"]["state"]) == (3, "unknown")
    shutil.rmtree(artefacts)
    shutil.move(job.root / "reports", artefacts)
    status, told, found = collected(job, artefacts, needed("success"))
    assert (status, found["s0"]["state"]) == (3, "unknown")
    assert "the run ended with the state unknown, and attempt 2 made no run of this site" in told


def test_the_run_of_the_later_attempt_is_used_when_the_clock_of_its_runner_is_behind(tmp_path):
    job, artefacts = with_attempts(tmp_path, 1)
    drilled(job, artefacts / "second", "s0", "2", good=False)  # begins before the run of attempt 1 by its clock
    drilled(job, artefacts / "first", "s0", "1")
    status, _, found = collected(job, artefacts, needed("success"))
    assert (status, found["s0"]["state"]) == (1, "failed")
    assert "attempt 1" not in found["s0"]["message"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("DRILLBOOK_ATTEMPT", "second", "DRILLBOOK_ATTEMPT is 'second', which is not the number of an attempt"),
        ("DRILLBOOK_NEEDS", "success", "DRILLBOOK_NEEDS does not contain the results of jobs"),
        ("DRILLBOOK_NEEDS", '["success"]', "DRILLBOOK_NEEDS does not contain the results of jobs"),
        ("DRILLBOOK_NEEDS", '{"wave-1": {}}', "DRILLBOOK_NEEDS does not contain the results of jobs"),
    ],
)
def test_variables_of_the_pipeline_that_cannot_be_read_are_refused(tmp_path, name, text, told):
    job, artefacts = with_attempts(tmp_path, 1)
    artefacts.mkdir()
    job.environment[name] = text
    done = job.run("campaign.collect", "sample", "--sites", "all.yml", "--artefacts", str(artefacts))
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_the_collecting_job_on_github_knows_the_results_of_all_other_jobs():
    jobs = yaml.safe_load(campaign_matrix.rendered("github", "sample", sites(4, waves=["50%"]), "all.yml"))["jobs"]
    (step,) = (step for step in jobs["collect"]["steps"] if "campaign.collect" in step.get("run", ""))
    assert step["env"] == {"DRILLBOOK_NEEDS": "${{ toJSON(needs) }}"}
    waves = [name for name in jobs if name != "collect"]
    assert jobs["collect"]["needs"] == waves
    assert len(waves) > 1
    for name in waves:
        assert jobs[name]["steps"][-1]["with"]["if-no-files-found"] == "error"


def test_a_drill_on_gitlab_that_was_interrupted_in_a_retried_job_is_unknown(tmp_path):
    """GitLab gives the artefacts of the newest job of each site, and no others. A job that lost its runner has none."""
    job, artefacts = with_attempts(tmp_path, 2)
    drilled(job, artefacts, "s0", "")
    drilled(job, artefacts, "s1", "")
    shutil.rmtree(artefacts / "site-s0")
    status, _, found = collected(job, artefacts, "", "")
    assert (status, found["s0"]["state"], found["s1"]["state"]) == (3, "unknown", "passed")
    made = yaml.safe_load(campaign_matrix.rendered("gitlab", "sample", sites(1), "all.yml"))
    assert not {"cache", "needs", "dependencies"} & {*made, *made["wave-1"], *made["collect"]}


def test_all_jobs_on_github_know_the_attempt():
    made = yaml.safe_load(campaign_matrix.rendered("github", "sample", sites(2), "all.yml"))
    assert made["env"]["DRILLBOOK_ATTEMPT"] == "${{ github.run_attempt }}"


def test_a_changed_artefact_is_no_pass(tmp_path):
    job = in_pipeline(tmp_path)
    counting(job)
    with_sites(job, 1)
    assert job.run("campaign", "sample", "--sites", "all.yml", "--only", "s0").returncode == 0
    artefacts = tmp_path / "artefacts"
    shutil.move(job.root / "reports", artefacts)
    (journal,) = artefacts.glob("2*/journal.jsonl")
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    done = job.run("campaign.collect", "sample", "--sites", "all.yml", "--artefacts", str(artefacts))
    assert done.returncode == 3, done.stdout + done.stderr
    assert ends(job)["s0"]["state"] == "unknown"


def test_a_run_of_another_plan_is_refused_and_both_digests_are_named(tmp_path):
    """The checkout of one CI job has another drill. Its run passed, but shows nothing about the plan of the campaign."""
    job = in_pipeline(tmp_path)
    with_sites(job, 2)
    artefacts = tmp_path / "artefacts"
    drills = {"s0": "count", "s1": "c0unt"}
    for site, file in drills.items():
        counting(job, ["test", "-d", str(job.root), "-o", "-e", file])
        assert job.run("campaign", "sample", "--sites", "all.yml", "--only", site).returncode == 0
        shutil.move(job.root / "reports", artefacts / site)
    counting(job, ["test", "-d", str(job.root), "-o", "-e", "count"])
    done = job.run("campaign.collect", "sample", "--sites", "all.yml", "--artefacts", str(artefacts))
    assert done.returncode == 4, done.stdout + done.stderr
    found = ends(job)
    assert {site: end["state"] for site, end in found.items()} == {"s0": "passed", "s1": "refused"}
    planned = {site["name"]: site["plans"]["sample"] for site in events(job)[0]["data"]["sites"]}
    own = json.loads((job.root / "reports" / found["s1"]["run"] / "result.json").read_text())["plan_digest"]
    assert own != planned["s1"]
    assert f"carried out the plan {own} of sample" in found["s1"]["message"]
    assert planned["s1"] in found["s1"]["message"]
    assert found["s1"]["run"] in runs(job)


def test_a_run_of_another_version_is_refused(tmp_path):
    job = in_pipeline(tmp_path)
    counting(job)
    with_sites(job, 1)
    assert job.run("campaign", "sample", "--sites", "all.yml", "--only", "s0").returncode == 0
    found, problems = artefacts_of.found_in(job.root, "sample", "p 7")
    assert problems == []
    run, plans = found["s0"].ending.run, events(job)[0]["data"]["sites"][0]["plans"]
    for version, state in ((__version__, "passed"), ("0.1", "refused")):
        root = tmp_path / version
        (root / "reports" / "campaigns").mkdir(parents=True)
        made = Job("c", "s0", run, "sample", suite=False, inventory="i", root=str(root), plans=plans, version=version)
        executor = Artefacts(found)
        executor.submit(made)
        (ending,) = executor.wait(0)
        assert ending.state == state, ending
    assert f"with drillbook {__version__}, but the campaign is planned with drillbook 0.1" in ending.message
