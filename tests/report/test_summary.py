from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from drillbook.findings import Finding
from drillbook.installation.program_name import program
from drillbook.judge.result import RunView, SuiteResult, Verdict
from drillbook.report import dead_runs, suite_steps
from drillbook.report.figures import one_line, shown
from drillbook.report.remarks import MARK, WHY
from drillbook.report.rows import rows_of
from drillbook.report.terminal import summary
from tests.report import renderings, samples


@pytest.mark.parametrize("name", samples.ALL)
def test_fits_into_80_columns(name: str) -> None:
    view = samples.ALL[name]()
    text = renderings.printed(summary.summary(view, "reports/x/report.html"))
    commands = {line for one in view.result.residue for line in shown(one.by_hand).splitlines()}
    lines = [line for line in text.splitlines() if not line.strip().startswith(f"{program()} drill.recover ")]
    assert max(cell_len(line) for line in lines if line.strip() not in commands) <= 80


@pytest.mark.parametrize("name", ["hostile", "overwritten"])
def test_hostile_text_cannot_steer_the_terminal(name: str) -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard", legacy_windows=False)
    console.print(summary.summary(samples.ALL[name]()))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert not re.search("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e]", re.sub(r"\x1b\[[\d;]*m", "", text))
    assert "\x1b[31mred" not in text
    assert "[b]bold[/b]" in renderings.printed(summary.summary(samples.ALL[name]()), 400)


def test_colour_only_repeats_words() -> None:
    coloured = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard", legacy_windows=False)
    coloured.print(summary.summary(samples.failed()))
    assert isinstance(coloured.file, io.StringIO)
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured.file.getvalue())
    assert [line.rstrip() for line in bare.splitlines()] == renderings.printed(
        summary.summary(samples.failed())
    ).splitlines()
    for word in ("✗ FAILED", "? does not count: the", "critical"):
        assert word in bare
    assert "✗ missed" in renderings.printed(summary.summary(samples.recorded("too_slow")))


def test_the_exit_status_is_not_torn_off_by_a_long_title() -> None:
    suite, views = samples.suite()
    long = suite.model_copy(
        update={"title": "The quarterly drill of all services of the documents, with their stores and caches"}
    )
    lines = renderings.printed(summary.suite_ending(long, views), 80).splitlines()
    assert lines[-1] == "■ ABORTED WITH RESIDUE  exit 5  quarterly"
    assert "stores" not in "".join(lines), "a title that does not fit is left out: the screen is small"
    lines = renderings.printed(summary.suite_ending(long, views), 150).splitlines()
    assert lines[-1] == f"■ ABORTED WITH RESIDUE  exit 5  quarterly: {long.title}"


NAMES = [
    "postgres-lost",
    "cache-lost",
    "objects-deleted",
    "table-dropped",
    "api-unresponsive",
    "queue-full",
    "vectors-corrupt",
]


def quarterly() -> tuple[SuiteResult, list[RunView]]:
    """Suite of seven drills, each with three objectives."""
    suite, _ = samples.suite()
    views = [
        samples.view(
            samples.result(run=name, drill=name) if number else samples.failed().result.model_copy(update={"run": name})
        )
        for number, name in enumerate(NAMES)
    ]
    runs = [
        {"run": name, "drill": name, "folder": name, "verdict": str(one.result.verdict)}
        for name, one in zip(NAMES, views, strict=True)
    ]
    return suite.model_copy(update={"runs": tuple(runs), "verdict": Verdict.FAILED, "exit": 1}), views


def test_the_end_of_a_suite_fits_on_a_screen_of_80x24() -> None:
    suite, views = quarterly()
    lines = renderings.printed(summary.suite_ending(suite, views)).splitlines()
    assert len(lines) <= 22, "a prompt and a blank line come before and after it"
    for name in NAMES:
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert re.search(r"passed|failed", line)
        assert len(re.findall(r"[✓~?] \d+\.\d+ s", line)) == 3, "the whole drill on one line"
    whole = " ".join(" ".join(lines).split())
    assert "~ met with a reservation" in whole
    assert (
        "? not verified or does not count: the run did not pass" in whole
        or "? does not count: the run did not pass" in whole
    )
    assert re.search(r"detected by\b.+\bprobe\b", whole)
    assert [line for line in lines if " 129 writes " in line]


def test_the_drills_the_report_and_the_verdict_of_a_suite_stay_on_a_screen_of_80x24() -> None:
    suite, views = quarterly()
    found = Finding(code="removed-data-missing", severity="medium", title="Less came back", remedy="Enter it again.")
    views = [
        one.model_copy(update={"routine": (), "result": one.result.model_copy(update={"findings": (found,)})})
        for one in views[1:3]
    ] + views[3:]
    passed = suite.model_copy(update={"verdict": Verdict.PASSED, "exit": 0, "runs": suite.runs[1:]})
    steps = suite_steps.after_suite("invoke", passed, views, "")
    screen = Console(width=80, height=24, file=io.StringIO(), force_terminal=True, color_system=None)
    screen.print(summary.suite_summary(passed, views, "reports/x/report.html", steps))
    last = [line.rstrip() for line in screen.file.getvalue().splitlines()[-23:]]
    assert any(line.startswith("  drill ") for line in last), "the heads stay"
    rows = [line for line in last if line.startswith(tuple(f"  {run['drill']} " for run in passed.runs))]
    assert len(rows) == len(passed.runs)
    assert [row.split()[1:4] for row in rows[:2]] == [["✓", "passed", "!"]] * 2, "two have an open finding, as in drill.list"
    assert "  report reports/x/report.html" in last
    assert last[-1].startswith("✓ PASSED")
    assert "Open findings (!): 2 medium, in " in " ".join(last)
    lines = renderings.printed(summary.suite_summary(passed, views, "reports/x/report.html", steps)).splitlines()
    below = "\n".join(lines[-23:])
    assert "  Next\n    read the report\n" in below, "in a file, the next steps are near the verdict"
    assert f"  {MARK} {WHY[MARK]}" in lines
    assert len(lines) <= 33


def test_what_is_special_about_a_drill_stands_below_the_table_of_a_suite() -> None:
    suite, views = samples.suite()
    table, _, below = renderings.printed(summary.suite_ending(suite, views)).partition("\n\n  ! ")
    assert "redis-lost     ? inconclusive" in table
    assert below.startswith("redis-lost: The record of this drill is missing.")
    fired = samples.step("detect.1", "prometheus.alert_fires", facts={"alerts": [{"alert": "ApiDown"}]}).result
    alerted = samples.view(samples.result(steps=(*samples.passed().result.steps, fired)))
    assert "detected by probe" not in renderings.printed(summary.suite_ending(suite, [alerted, *views[1:]]))
    assert "✓ 1.81 s alert" in renderings.printed(summary.suite_ending(suite, [alerted, *views[1:]]), 100)


def test_says_where_the_report_is() -> None:
    assert "report reports/x/report.html" in renderings.printed(summary.summary(samples.passed(), "reports/x/report.html"))
    assert "NO UNDO RECORDED: pretend.break on a" in renderings.printed(summary.suite_summary(*samples.suite()))


@pytest.mark.parametrize("name", samples.ALL)
def test_the_verdict_is_the_last_line(name: str) -> None:
    view = samples.ALL[name]()
    last = renderings.printed(summary.summary(view), 300).splitlines()[-1]
    assert last.split()[1] == dead_runs.word_of(view.result).upper().split()[0]
    assert f"  exit {view.result.exit}  {one_line(view.result.drill)}: " in last


def test_the_verdict_of_a_suite_is_the_last_line_and_a_drill_has_few() -> None:
    suite, views = samples.suite()
    last = renderings.printed(summary.suite_summary(suite, views), 300).splitlines()[-1]
    assert last.split()[1] == str(suite.verdict).upper()
    short = renderings.printed(summary.line(samples.passed()))
    assert short.startswith("  ✓ passed in ")
    assert len(short.splitlines()) == 1, "its losses are within the objective"
    told = renderings.printed(summary.line(samples.failed()), 400).splitlines()
    (at,) = [number for number, text in enumerate(told) if "remedy: To lose fewer writes, take backups more often" in text]
    assert told[at - 1].strip().startswith("measured: 107 of 149 acknowledged test writes of the drill"), (
        "a remedy alone says not what is wrong"
    )


def test_brief_details_leave_clocks_and_phases_to_the_report() -> None:
    full, brief = (renderings.printed(summary.details(samples.passed(), brief=brief)) for brief in (False, True))
    assert all(word in full for word in ("Objectives", "Clocks", "Phases"))
    assert "Objectives" in brief
    assert not any(word in brief for word in ("Clocks", "Phases"))


def test_results_are_whole_when_all_objectives_are_just_met() -> None:
    result = samples.passed().result
    met = result.model_copy(update={"objectives": {key: one for key, one in result.objectives.items() if key != "rpo"}})
    lines = renderings.printed(summary.summary(samples.view(met))).splitlines()
    assert sum(line.rstrip().endswith("\N{CHECK MARK} met") for line in lines) == 2
    assert any(line.rstrip().endswith(" result") for line in lines)


def test_the_reason_why_a_met_objective_does_not_count_is_whole_at_80_columns() -> None:
    result = samples.failed().result
    passed = samples.passed().result.objectives
    kept = result.model_copy(update={"objectives": {**result.objectives, "rto": passed["rto"], "rpo": passed["rpo"]}})
    for objectives in (kept.objectives, {"detect": result.objectives["detect"]}):
        view = samples.view(kept.model_copy(update={"objectives": objectives}))
        lines = [line.rstrip() for line in renderings.printed(summary.summary(view)).splitlines()]
        head = next(number for number, line in enumerate(lines) if line.endswith(" result"))
        place = lines[head].index("result")
        results = " ".join(line[place:] for line in lines[head + 2 : lines.index("  Clocks")])
        assert " ".join(results.split()) == " ".join(f"? {row.said}" for row in rows_of(view.result))
        assert max(map(cell_len, lines)) <= 80


@pytest.mark.parametrize("name", sorted(samples.ALL.keys() - {"hostile", "overwritten"}))
def test_one_empty_line_stands_between_the_parts_of_a_summary_and_none_within_a_drill_of_a_suite(name: str) -> None:
    view = samples.ALL[name]()
    assert "\n\n\n" not in renderings.printed(summary.summary(view, "reports/x/report.html"))
    lines = renderings.printed(summary.line(view)).splitlines()
    assert "" not in lines
    for one in view.result.residue:
        assert sum("residue, " in line and f"(step {one_line(one.step)})" in line for line in lines) == 1
    assert not any("only if this fails, by hand:" in line for line in lines), "the end of the suite shows this once"


def test_one_empty_line_stands_between_the_parts_of_a_suite() -> None:
    text = renderings.printed(summary.suite_summary(*samples.suite(), "reports/x/report.html"))
    assert "\n\n\n" not in text
    assert text.count("only if this fails, by hand:") == 1
