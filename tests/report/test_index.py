from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from drillbook.report import index, remarks
from drillbook.report.index_entries import IndexEntry, Known
from tests.report import samples
from tests.report.test_agreement import plain


def test_newest_first_and_the_drills_of_a_suite_below_it() -> None:
    names = re.findall(
        r'<th scope="row">(?:<a href="[^"]*">)?<bdi>([\w-]+)', index.render(samples.entries()).split('id="runs"')[1]
    )
    assert names == ["quarterly", "redis-lost", "postgres-lost", *["postgres-lost"] * 6, "evil"]
    assert index.render(samples.entries()) == index.render(list(reversed(samples.entries())))


def test_the_page_begins_with_the_drills_that_need_attention() -> None:
    failed = dataclasses.replace(samples.entries()[0], name="broken", verdict="failed", exit=1)
    left = dataclasses.replace(failed, name="residue", verdict="passed", exit=5)
    good = dataclasses.replace(failed, name="good", verdict="passed", exit=0, started="2026-03-04T10:00:00Z")
    runs = dataclasses.replace(failed, name="begun", verdict="running", exit=3)
    head = index.render([failed, left, good, runs]).split('id="trends"')[0]
    assert "Last runs of 4 drills: 1 failed, 1 running, 2 passed." in head
    assert re.findall(r'<li><a href="[^"]*report.html"><bdi>([\w-]+)', head) == ["broken", "residue"]
    assert "never passed" in head
    assert "with residue" in head
    assert 'href="#runs"' in head
    assert "Last runs of 1 drill: 1 passed." in (calm := index.render([good]))
    assert 'class="attention"' not in calm


def test_what_failed_comes_before_what_was_aborted() -> None:
    one = samples.entries()[0]
    ended = [
        dataclasses.replace(one, name=f"x-{verdict}", verdict=verdict) for verdict in ("aborted", "inconclusive", "failed")
    ]
    head = index.render(ended).split('id="trends"')[0]
    assert "Last runs of 3 drills: 1 failed, 1 inconclusive, 1 aborted." in head
    assert re.findall(r"<bdi>x-(\w+)", head) == ["failed", "inconclusive", "aborted"]


@pytest.mark.parametrize(("severity", "named"), [("critical", True), ("medium", True), ("low", False)])
def test_a_finding_of_a_run_that_passed_stands_beside_its_verdict(severity: str, named: bool) -> None:
    result = samples.passed().result.model_dump(mode="json", by_alias=True)
    found = [{"code": "writes-lost", "severity": severity, "title": "Writes were lost", "of_a_later_version": 1}]
    page = index.render([index.entry({**result, "findings": found})])
    head, rest = page.split('id="trends"')
    assert ("; with an open finding of medium severity or higher: 1" in head) == named
    assert ("Writes were lost" in head) == named
    assert rest.count(f"! 1 {severity} finding") == 2 * named


def test_findings_of_the_drills_stand_beside_the_verdict_of_a_suite() -> None:
    suite, views = samples.suite()
    only = {
        **suite.model_dump(mode="json", by_alias=True),
        "verdict": "passed",
        "runs": suite.model_dump(mode="json")["runs"][:1],
    }
    found = [{"code": "writes-lost", "severity": "medium", "title": "Writes were lost"}]
    drill = {**views[0].result.model_dump(mode="json", by_alias=True), "verdict": "passed", "findings": found}
    rows = index.render([index.entry(only, [drill])]).split('id="runs"')[1]
    assert rows.count("! 1 medium finding") == 2, "at the suite and at its drill"
    calm = index.render([index.entry(only, [{**drill, "findings": []}])])
    assert "medium finding" not in calm.split('id="runs"')[1]


def test_findings_stand_beside_every_verdict_of_a_run_that_began() -> None:
    """The findings of a refused run are the reasons why it did not begin. They do not count for its suite, either."""
    result = samples.passed().result.model_dump(mode="json", by_alias=True)
    found = [{"code": "not-recovered", "severity": "critical", "title": "Not good again"}]
    for verdict, named in (("aborted", True), ("failed", True), ("inconclusive", True), ("refused", False)):
        entry = index.entry({**result, "verdict": verdict, "exit": 4, "findings": found})
        head, rest = index.render([entry]).split('id="trends"')
        assert rest.count("! 1 critical finding") == 2 * named, verdict
        assert ("with an open finding of medium severity or higher: 1" in head) == named
        suite, _ = samples.suite()
        inner = {**result, "verdict": verdict, "exit": 4, "findings": found}
        assert bool(index.entry(suite.model_dump(mode="json", by_alias=True), [inner]).findings) == named


def test_drill_by_drill_links_names_and_shows_targets() -> None:
    page = index.render(samples.entries()).split('id="trends"')[1].split("</section>")[0]
    assert '<a href="20260602T100000Z-postgres-lost/report.html"><bdi>postgres-lost</bdi></a>' in page
    assert 'met</span></span><span class="soft target">target 5\N{NO-BREAK SPACE}min</span>' in page
    assert "Dashed: the target" in page
    one = index.render([samples.entries()[2]]).split('id="trends"')[1].split("</section>")[0]
    assert "Dashed" not in one


def test_drills_and_suites_that_never_ran_are_counted_apart_and_named() -> None:
    drill, suite = Known(), Known(suite=True)
    known = dict.fromkeys(("postgres-lost", "redis-lost", "site-lost", "api-lost"), drill) | {
        "quarterly": suite,
        "night": suite,
    }
    page = index.render(samples.entries(), known)
    head = (
        "2 of the 4 drills in drills/ ran, and 1 drill without a file there (evil). Last runs in each environment: 4 passed."
    )
    assert f"{head} 2 drills and 1 suite never ran.</p>" in page
    assert "<b>Drills never run:</b> <bdi>api-lost</bdi>, <bdi>site-lost</bdi></p>" in page
    assert "<b>Suites never run:</b> <bdi>night</bdi></p>" in page
    planned = index.render(samples.entries(), {**known, "night": Known(suite=True, scheduled=True)})
    assert f"{head} 2 drills and 1 suite never ran (with a schedule: 1 suite).</p>" in planned
    assert "ever ran" not in index.render(samples.entries(), {"postgres-lost": drill})


def test_a_drill_that_ran_in_two_environments_is_one_drill() -> None:
    one = samples.entries()[0]
    runs = [one, dataclasses.replace(one, environment="staging", run=f"{one.run}-2")]
    verdict = one.verdict
    assert f"Last runs of 1 drill in each environment: 2 {verdict}" in index.render(runs)
    known = {one.name: Known(), "other": Known()}
    assert f"1 of the 2 drills in drills/ ran. Last runs in each environment: 2 {verdict}" in index.render(runs, known)


def test_runs_of_drills_are_counted_and_not_suites() -> None:
    entries = samples.entries()
    assert "9 runs of drills, 2 of them in 1 suite. Times are UTC." in index.render(entries)
    suite = next(one for one in entries if one.kind == "suite")
    assert "2 runs of drills, all of them in 1 suite. Times are UTC." in index.render([suite])
    assert "1 run of a drill. Times are UTC." in index.render(entries[:1])


def test_links_stay_below_the_folder() -> None:
    page = index.render(samples.entries())
    assert "javascript:" not in page
    assert 'href="20260102T100000Z-postgres-lost/report.html"' in page


def test_no_runs() -> None:
    assert "No drill has run yet" in index.render([])


def test_a_run_without_a_figure_is_a_gap() -> None:
    trend = next(one for one in index._trends(samples.entries()) if one.name == "postgres-lost").rto
    assert trend is not None
    assert [point.kind for point in trend.points] == ["dot", "dot", "none", "dot", "gap", "dot"], (
        "the third and the fifth run did not pass"
    )
    page = index.render(samples.entries())
    assert page.count('<path class="none"') >= 1
    assert "Cross on the base line: there is no figure" in page
    assert len(trend.lines) == 1
    rpo = next(one for one in index._trends(samples.entries()) if one.name == "postgres-lost").rpo
    assert rpo is not None
    assert rpo.points[4].kind == "over"
    assert rpo.goal is not None


def test_a_measured_figure_that_was_not_verified_is_a_gap_too() -> None:
    objective = samples.passed().result.objectives["rto"].model_copy(update={"met": None})
    entry = replace(samples.entries()[1], objectives={"rto": objective})
    assert index._point(0, entry, "rto", 1, 10.0).kind == "gap"


def test_entries_from_results() -> None:
    result = samples.passed().result.model_dump(mode="json", by_alias=True)
    found = index.entry(result)
    assert (found.kind, found.name) == ("drill", "postgres-lost")
    assert found.seconds == pytest.approx(samples.passed().timeline.seconds, abs=1)
    assert found.href == f"{samples.passed().result.run}/report.html"
    suite, views = samples.suite()
    inner = [view.result.model_dump(mode="json", by_alias=True) for view in views]
    whole = index.entry(suite.model_dump(mode="json", by_alias=True), inner)
    assert whole.kind == "suite"
    assert whole.children[0].href == "20260106T090000Z-quarterly-9a9a/01-postgres-lost/report.html"
    assert whole.children[2].seconds is None
    assert "not finished" in index.render([whole])


def test_a_result_of_a_newer_version_has_its_objectives() -> None:
    result = samples.passed().result.model_dump(mode="json", by_alias=True)
    known = index.entry(result).objectives
    for one in result["objectives"].values():
        one["of_a_newer_version"] = 1
    assert known
    assert index.entry(result).objectives == known


def test_a_run_outside_of_its_suite_is_not_linked() -> None:
    suite, views = samples.suite()
    stray = views[0].result.model_copy(update={"run": "stray"}).model_dump(mode="json", by_alias=True)
    whole = index.entry(suite.model_dump(mode="json", by_alias=True), [stray])
    assert whole.children[0].href.count("..") == 1
    assert "stray" not in re.findall('href="([^"]*)"', index.render([whole]))


@pytest.mark.parametrize("verdict", ["failed", "inconclusive", "refused", "aborted", "unheard-of"])
def test_no_verdict_is_shown_as_another(verdict: str) -> None:
    entry = samples.entries()[0]
    page = index.render([IndexEntry(**{**{name: getattr(entry, name) for name in entry.__slots__}, "verdict": verdict})])
    assert f'<span class="state {verdict}">' in page
    assert "</span> passed" not in page


def test_drill_by_drill_names_the_service() -> None:
    entry = index.entry(samples.passed().result.model_dump(mode="json", by_alias=True))
    page = plain(index.render([entry]))
    trends = page.split("Each drill by name")[1].split("All runs, the newest first")[0]
    assert f"{entry.service} in lab" in trends


def test_few_runs_leave_no_gap_in_a_trend_and_its_scale_is_named() -> None:
    found = {len(it.points): it for one in index._trends(samples.entries()) for it in (one.rto, one.rpo) if it}
    for number, trend in found.items():
        gaps = [b.x - a.x for a, b in pairwise(trend.points)]
        assert all(gap <= index.STEP + 0.01 for gap in gaps), number
        assert trend.points[-1].x == pytest.approx(trend.width - index.EDGE)
        assert trend.width <= index.WIDTH + 0.01
    page = index.render(samples.entries())
    assert re.findall(r"</svg><span class=\"soft scale num\">0 to [0-9.]+ s</span>", page)


def test_the_scale_of_a_figure_that_is_only_bounded_ends_at_its_bound() -> None:
    result = samples.passed().result.model_dump(mode="json", by_alias=True)
    result["objectives"]["rpo"] |= {"measured_s": 0.0, "error_s": 0.05}
    (trends,) = index._trends([index.entry(result)])
    assert trends.rpo is not None
    assert (trends.rpo.latest.measured, trends.rpo.scale) == ("at most 0.05 s", "0.05 s")


def failed(**how: object) -> IndexEntry:
    result = samples.failed().result.model_dump(mode="json", by_alias=True)
    return index.entry({**result, "verdict": "failed", "exit": 1, **how})


def test_a_drill_that_failed_shows_its_reason_at_the_top() -> None:
    why = "verify.3 http.responds failed: http://127.0.0.1/documents answered 200, expected 201"
    head = plain(index.render([failed(reason=why)]).split('id="trends"')[0])
    assert why in head
    long = f"verify.3 failed: http://127.0.0.1/{'api/' * 80}documents answered 200, expected 201"
    assert "failed: \N{HORIZONTAL ELLIPSIS}/documents answered 200, expected 201" in plain(
        index.render([failed(reason=long)])
    )
    passed = samples.passed().result.model_dump(mode="json", by_alias=True)
    assert index.entry({**passed, "reason": "every step is done"}).reason == ""
    left = {**passed, "exit": 5, "reason": "something was left"}
    assert "something was left" in plain(index.render([index.entry(left)]).split('id="trends"')[0])


def test_a_run_whose_controller_died_shows_the_command_at_the_top() -> None:
    page = index.render([index.unfinished("20260101T000000.000Z-x-00aa", "lab", alive=False)])
    assert "its controller died; recover it:" in page.split('id="trends"')[0]


@pytest.mark.parametrize(("alive", "word"), [(False, "not known: the run did not end"), (True, "not known yet")])
def test_the_figures_beside_a_run_without_a_result_are_those_of_a_named_run(*, alive: bool, word: str) -> None:
    """The run itself has no figures yet, and nobody knows from its entry if it has objectives."""
    good = dataclasses.replace(samples.entries()[0], name="own", environment="lab", started="2026-03-04T10:00:00Z")
    open_ = dataclasses.replace(index.unfinished("20260401T000000.000Z-own-00aa", "lab", alive=alive), name="own")
    trends, runs = (plain(part) for part in index.render([good, open_]).split('id="trends"')[1].split('id="runs"'))
    assert f"figures: run {good.short_name}" in trends
    assert (word in trends, "no objective" in runs) == (False, False)
    assert runs.count(word) == 2, "RTO and RPO"
    alone = plain(index.render([open_]))
    assert (alone.count(word), "no objective" in alone) == (4, False)


def test_the_run_of_the_figures_is_named_so_that_no_run_of_the_same_minute_is_meant() -> None:
    """Three times on the page may have the same minute; the name of the run and the link to its report have no double."""
    first = dataclasses.replace(samples.entries()[0], name="own", run="20260304T100000.000Z-own-00aa", href="a/report.html")
    second = dataclasses.replace(
        first, run="20260304T100030.000Z-own-00bb", href="b/report.html", verdict="aborted", started="2026-03-04T10:00:30Z"
    )
    first = dataclasses.replace(first, verdict="passed", exit=0, started="2026-03-04T10:00:00Z")
    trends = index.render([first, second]).split('id="trends"')[1].split("</section>")[0]
    assert '<span class="why">figures: run <a href="a/report.html"><bdi>own-00aa</bdi></a></span>' in trends
    unlinked = index.render([dataclasses.replace(first, href=""), second])
    assert '<span class="why">figures: run <bdi>own-00aa</bdi></span>' in unlinked


def test_the_loss_of_a_run_stands_once_in_its_row() -> None:
    """The RPO begins with it, if there is a figure; otherwise it stands beside the verdict."""
    lost = remarks.Remark("Rows did not come back.", "\u00a7", lost="at least 6 rows lost")
    entry = next(entry for entry in samples.entries() if entry.objectives and entry.objectives["rpo"].met)
    blank = entry.objectives["rpo"].model_copy(update={"measured_s": None, "met": None})
    stopped = dataclasses.replace(entry, verdict="aborted", exit=4, remarks={"rpo": lost})
    unmeasured = dataclasses.replace(stopped, objectives={**entry.objectives, "rpo": blank})
    for one in (stopped, unmeasured):
        top, rest = index.render([one]).split('id="trends"')
        parts = [plain(part) for part in (top, *rest.split('id="runs"'))]
        assert [part.count("6 rows lost") for part in parts] == [1, 1, 1], one.objectives["rpo"]


def test_an_objective_that_the_newest_run_does_not_set_names_the_run_of_its_figure() -> None:
    good = dataclasses.replace(samples.entries()[0], name="own", started="2026-03-04T10:00:00Z")
    assert {"rto", "rpo"} <= set(good.objectives)
    later = dataclasses.replace(
        good, run="later", started="2026-04-04T10:00:00Z", objectives={"rto": good.objectives["rto"]}
    )
    trends = plain(index.render([good, later]).split('id="trends"')[1].split("</section>")[0])
    assert trends.count(f"figure: run {good.short_name}") == 1
    assert "figure: run" not in plain(index.render([good]))


def test_the_index_says_as_the_report_what_a_run_whose_controller_died_did_not_do() -> None:
    known = samples.recorded("killed").result
    rpo = known.objectives["rto"].model_copy(
        update={"measured_s": 0.0, "error_s": 0.06, "met": None, "reason": "the verification did not run"}
    )
    dead = known.model_copy(update={"objectives": {"rpo": rpo}})
    for result, said in ((dead, "the run itself ran no verification"), (samples.failed().result, "")):
        page = plain(index.render([index.entry(result.model_dump(mode="json", by_alias=True))]))
        assert "the verification did not run" not in page
        assert said in page


def test_two_runs_show_no_trend() -> None:
    entries = [entry for entry in samples.entries() if entry.name == "postgres-lost" and not entry.href.startswith("q/")]
    newest = sorted(entries, key=lambda entry: entry.started)
    for number, drawings in ((2, 0), (3, 2)):
        page = index.render(newest[:number])
        assert page.count('<svg class="trend"') == drawings
        assert page.count('class="soft scale num"') == drawings
    lost = [dataclasses.replace(one, objectives={"rto": newest[2].objectives["rto"]}) for one in newest[:3]]
    assert newest[2].objectives["rto"].measured_s is None
    assert '<span class="soft scale num">no figure</span>' in index.render(lost), "drawings are equally high"


def test_a_figure_that_does_not_count_has_no_empty_line_above_its_target() -> None:
    known = samples.recorded("printed/cache_lost").result.model_dump(mode="json", by_alias=True)
    page = index.render([index.entry({**known, "verdict": "aborted", "exit": 4})])
    assert re.search(r"†\)</span>(?:(?!</td>).)*does not count:</span>", page)
    assert not re.search(r"the run was aborted</span><br>", page), "the words are a block of their own"


def test_a_refused_run_does_not_hide_the_figures_of_the_last_run_that_took_place() -> None:
    some = next(entry for entry in samples.entries() if entry.verdict == "passed" and "rto" in entry.objectives)
    good = dataclasses.replace(some, name="own", started="2026-03-04T10:00:00Z")
    blank = {key: goal.model_copy(update={"measured_s": None, "met": None}) for key, goal in good.objectives.items()}
    refused = dataclasses.replace(
        good, run="later", verdict="refused", exit=2, started="2026-04-04T10:00:00Z", objectives=blank
    )
    (trends,) = index._trends([good, refused])
    assert (trends.last.entry.run, trends.figures.entry.run) == ("later", good.run)
    assert trends.rto is not None
    assert trends.rto.latest.measured_s == good.objectives["rto"].measured_s
    row = plain(index.render([good, refused]).split('id="trends"')[1].split("</section>")[0])
    assert "refused" in row
    assert f"figures: run {good.short_name}" in row
    assert "figures: run" not in index.render([good])
    (only,) = index._trends([refused])
    assert only.figures.entry.run == "later"


def test_the_figures_of_a_drill_are_those_of_its_newest_run_that_passed_or_failed() -> None:
    """As in an audit: a run that was stopped neither proves an objective nor takes a proof back."""
    passed = index.entry(samples.passed().result.model_dump(mode="json", by_alias=True))
    good = dataclasses.replace(passed, name="own", started="2026-03-04T10:00:00Z")
    unmeasured = {
        key: goal.model_copy(update={"measured_s": None, "met": None, "reason": "stopped"})
        for key, goal in good.objectives.items()
    }
    later = dataclasses.replace(
        good, run="later", verdict="aborted", exit=4, started="2026-04-04T10:00:00Z", objectives=unmeasured, remarks={}
    )
    trends = plain(index.render([good, later]).split('id="trends"')[1].split("</section>")[0])
    assert f"figures: run {good.short_name}" in trends
    assert "not verified" not in trends
    assert "the verdict of its newest run, and the figures of its newest run that passed or failed" in trends
    alone = plain(index.render([later]).split('id="trends"')[1].split("</section>")[0])
    assert "not measured" in alone


def test_the_row_of_a_run_that_did_not_end_names_its_service() -> None:
    open_ = index.unfinished("20260401T000000.000Z-own-00aa", "lab", alive=False, service="api")
    page = plain(index.render([open_]))
    assert "api in lab" in page.replace("\N{NO-BREAK SPACE}", " ")
