"""Retirements: what no longer exists is not reported as missing, and a later run ends a retirement."""

from __future__ import annotations

import json
import re

import pytest

from drillbook.cli.retire import retire
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.project import retirements, schedule_record
from drillbook.project.project import Project
from drillbook.project.retirements import Retirement
from drillbook.project.schedule_record import MISSED, RETIRED, Entry
from tests.cli.test_overview import Shelf
from tests.program import PROOF, Folder
from tests.project.test_due import elsewhere

WHY = ("--reason", "staging was removed, ticket 4711")
STAGING = Retirement("2026-05-01T09:00:00Z", "", "staging", "ann", "gone")


@pytest.fixture
def folder(tmp_path):
    """Project with a passed run in the environment lab, and one in the environment staging."""
    made = Folder(tmp_path)
    made.write("every: 7d\nguard: {environments: [lab, staging]}\n" + PROOF)
    text = (tmp_path / "inventory" / "lab.yml").read_text()
    services = "services: {app: {kind: process, host: controller}, other: {kind: process, host: controller}}"
    staging = re.sub("services: .*", services, text).replace("environment: lab", "environment: staging")
    (tmp_path / "inventory" / "staging.yml").write_text(staging)
    for name in ("lab", "staging"):
        done = made.run("drill", "sample", "--quiet", "--inventory", name)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


def states(folder):
    done = folder.run("drill.due", "--json")
    found = json.loads(done.stdout)
    return {(row["drill"], row["service"], row["environment"]): row["state"] for row in found["rows"]}


def test_a_retired_environment_is_neither_due_nor_missing_until_it_runs_again(folder):
    other = ("", "other", "staging")
    assert states(folder)[other] == "never passed"
    refused = folder.run("schedule.retire", "--environment", "staging", *WHY)
    assert (refused.returncode, "an inventory still names the environment staging" in refused.stderr) == (2, True)
    inventory = folder.root / "inventory" / "staging.yml"
    text = inventory.read_text()
    inventory.unlink()
    assert states(folder)[other] == "never passed", "the newest plan still names the service"
    said = folder.run("drill.due").stdout
    assert "schedule.retire --environment staging --reason TEXT" in said
    dry = folder.run("schedule.retire", "--environment", "staging", *WHY, "--dry")
    assert (dry.returncode, "would record: " in dry.stdout) == (0, True), dry.stderr
    assert states(folder)[other] == "never passed", "a dry run records nothing"
    done = folder.run("schedule.retire", "--environment", "staging", *WHY)
    assert done.returncode == 0, done.stderr
    assert {place for _, _, place in states(folder)} == {"lab"}
    folder.run("audit")
    (page,) = folder.root.glob("reports/audit-*/audit.md")
    shown = page.read_text().replace("\\", "")
    assert "### Retired" in shown
    assert re.search(
        r"all drills and services in staging\*\*: retired on \S+ by \S+: staging was removed, ticket 4711", shown
    )
    assert "other was never drilled" not in shown
    inventory.write_text(text)
    assert states(folder)[other] == "never passed", "it exists again"
    assert folder.run("drill", "sample", "--quiet", "--inventory", "staging").returncode == 0
    inventory.unlink()
    assert states(folder)[other] == "never passed", "a later run ends the retirement"


def test_a_drill_without_a_file_is_retired_in_one_environment_with_person_and_reason(folder):
    (folder.root / "drills" / "sample.yml").unlink()
    (folder.root / "inventory" / "staging.yml").unlink()
    folder.environment["DRILLBOOK_OPERATOR"] = "ann"
    done = folder.run("schedule.retire", "sample", "--environment", "staging", *WHY)
    assert done.returncode == 0, done.stderr
    assert "sample in staging: retired on " in done.stdout
    entries, damage, torn = schedule_record.read(folder.root / "reports")
    (made,) = retirements.of(entries)
    assert (made.drill, made.environment, made.by, made.reason) == ("sample", "staging", "ann", WHY[1])
    assert (damage, torn) == ("", "")
    record = folder.root / "reports" / "schedule.jsonl"
    record.unlink()
    record.mkdir()
    refused = folder.run("schedule.retire", "sample", *WHY)
    assert (refused.returncode, "schedule.jsonl cannot be written: Is a directory" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("sample", *WHY), "drills/ still contains sample"),
        (("sample", "--environment", "staging", *WHY), "drills/ still contains sample, which may run in staging"),
        (("another", *WHY), "no run of 'another' is recorded"),
        (("--environment", "stagin", *WHY), "no run in 'stagin' is recorded"),
        (("sample",), "a retirement needs --reason"),
        (WHY, "name the drill, or the environment"),
    ],
)
def test_what_still_exists_or_never_ran_cannot_be_retired(folder, argv, said):
    done = folder.run("schedule.retire", *argv)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (folder.root / "reports" / "schedule.jsonl").exists()


def test_a_drill_of_the_lab_is_not_retired_in_the_docker_lab_where_it_may_run(tmp_path):
    shelf = Shelf(tmp_path)
    elsewhere(shelf.result("sample"), "docker-lab")
    with pytest.raises(UsageError, match="which may run in docker-lab") as refused:
        retire(Project(tmp_path), "sample", "docker-lab", "gone")
    assert "`lab` in `guard.environments` also permits docker-lab" in refused.value.hint
    assert "schedule.retire --environment docker-lab" in refused.value.hint
    shelf.drill("sample", "guard: {environments: [staging, docker-lab]}\n")
    with pytest.raises(UsageError) as refused:
        retire(Project(tmp_path), "sample", "docker-lab", "gone")
    assert refused.value.hint == "take docker-lab out of `guard.environments` first"
    shelf.drill("sample", "guard: {environments: [staging]}\n")
    assert retire(Project(tmp_path), "sample", "docker-lab", "gone", dry=True) == Exit.OK


def test_a_later_run_of_the_same_drill_or_environment_ends_a_retirement():
    late, early = "2026-06-01T09:00:00Z", "2026-04-01T09:00:00Z"
    drill = Retirement("2026-05-01T09:00:00Z", "sample", "", "ann", "gone")
    found = [STAGING, drill]
    assert retirements.in_force(found, [("sample", "staging", early)]) == found
    assert retirements.in_force(found, [("other", "staging", late)]) == [drill]
    assert retirements.in_force(found, [("sample", "lab", late)]) == [STAGING]
    assert retirements.in_force(found, [("other", "lab", late)]) == found


def test_lines_without_a_person_keep_the_form_that_older_versions_read(tmp_path):
    schedule_record.append(tmp_path, Entry("2026-05-01T09:00:00Z", MISSED, "sample", "app", "lab", "", "late"))
    schedule_record.append(tmp_path, Entry(STAGING.at, RETIRED, "", "", "staging", "", "gone", by="ann"))
    lines = [json.loads(line) for line in (tmp_path / "schedule.jsonl").read_text().splitlines()]
    assert ["by" in line for line in lines] == [False, True]
    entries, damage, _ = schedule_record.read(tmp_path)
    assert (damage, retirements.of(entries)) == ("", [STAGING])
