"""After a dead run, all that was refused because of it leads to the command that recovers it."""

from __future__ import annotations

import pytest

from drillbook.findings import Finding, finding
from drillbook.judge.result import RunView, Verdict
from drillbook.report import html, markdown, next_steps, suite_steps
from tests.report import renderings, samples
from tests.report.test_agreement import plain

DEAD = "20261130T215035.927Z-api-down-530d"
COMMAND = f"drillbook drill.recover {DEAD}"
DRILLS = ("postgres-lost", "table-dropped", "cache-lost", "objects-deleted", "object-corrupted", "files-lost", "api-down")


def dead(run: str = DEAD) -> Finding:
    return finding(
        "unfinished-run",
        title=run,
        measured=f"the run {run} uses the same hosts and is not finished",
        remedy=f"Recover that run first: invoke drill.recover {run}",
    )


def refused(drill: str, *findings: Finding) -> RunView:
    run = f"20261130T215130.000Z-{drill}-{DRILLS.index(drill):04x}"
    more = {"run": run, "drill": drill, "verdict": Verdict.REFUSED, "exit": 4, "findings": findings or (dead(),)}
    return samples.view(samples.result(**more), program="drillbook", inventory="lab")


def test_a_suite_that_was_refused_because_of_a_dead_run_leads_to_its_recovery_first_and_once() -> None:
    suite, views = samples.suite()[0].model_copy(update={"verdict": Verdict.REFUSED}), [refused(drill) for drill in DRILLS]
    assert suite_steps.after_suite("drillbook", suite, views, "lab") == [
        ("recover the unfinished run", COMMAND),
        ("read the report", "drillbook report.open"),
        ("then repeat the suite", "drillbook drill quarterly"),
    ]
    assert suite_steps.in_suite(suite, views)[:2] == [
        ("recover the unfinished run", COMMAND),
        ("then repeat the suite", "drillbook drill quarterly"),
    ]
    rows = [{**suite.runs[0], "run": view.result.run, "drill": view.result.drill, "verdict": "refused"} for view in views]
    suite = suite.model_copy(update={"runs": tuple(rows)})
    for text in (markdown.render_suite(suite, views), plain(html.render_suite(suite, views))):
        assert text.count(COMMAND) == 2, "among the next steps, and in the remedy of one finding"
        assert text.count("Remedy: Recover that run first") == 1
        assert text.count("as for postgres-lost") == 6


def test_a_drill_that_is_refused_for_another_reason_too_is_still_repeated_after_the_correction() -> None:
    views = [refused("cache-lost"), refused("api-down", dead(), finding("not-ready", title="api"))]
    steps = suite_steps.after_suite("drillbook", samples.suite()[0], views, "lab")
    assert steps[0] == ("recover the unfinished run", COMMAND)
    assert [command for text, command in steps if text == "after the correction"] == ["drillbook drill api-down"]


def test_what_a_drill_of_the_suite_left_is_undone_by_one_command() -> None:
    run, stuck = DEAD, samples.recorded("stuck")
    stuck = stuck.model_copy(update={"result": stuck.result.model_copy(update={"run": run})})
    steps = suite_steps.after_suite("drillbook", samples.suite()[0], [stuck, refused("cache-lost", dead(run))], "lab")
    assert [text for text, command in steps if command == f"drillbook drill.recover {run}"] == ["undo what sample left"]


def test_the_report_of_a_refused_run_leads_to_the_recovery() -> None:
    assert next_steps.in_report(refused("cache-lost"))[:2] == [
        ("recover the unfinished run", COMMAND),
        ("then run the drill", "drillbook drill cache-lost"),
    ]
    assert f"recover the unfinished run: `{COMMAND}`" in markdown.render(refused("cache-lost"))


@pytest.mark.parametrize("name", ["died", "killed"])
def test_the_reports_of_a_run_whose_controller_died_call_it_unfinished_until_its_recovery(name: str) -> None:
    """As the lists, the index and the audit do. Files for programs keep the verdict."""
    told = samples.recorded(name)
    recovered = told.model_copy(update={"result": told.result.model_copy(update={"finished": "2026-12-01T16:00:00Z"})})
    for view, word, other in ((told, "unfinished", "aborted"), (recovered, "aborted", "unfinished")):
        texts = renderings.formats(view)
        assert f"<title>{word}: " in texts["html"]
        assert f"**{word.capitalize()}, with residue** (exit status 5)" in texts["md"]
        assert f"{word.upper()} WITH RESIDUE  exit 5" in texts["txt"]
        assert f"An {word} run is not a pass." in plain(texts["html"])
        assert f"An {other} run" not in plain(texts["html"])
        assert view.result.model_dump(mode="json")["verdict"] == "aborted"
        assert 'name="verdict" value="aborted"' in texts["xml"]
