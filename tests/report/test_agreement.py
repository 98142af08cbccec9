"""All formats agree with the result, and missing results are never called passed or met."""

from __future__ import annotations

import html as entities
import re
from xml.etree import ElementTree

import pytest

from drillbook.judge.result import Objective, PhaseResult, Residue, RunView, Verdict
from drillbook.report import clock_rows, dead_runs, figures, headlines, html, junit, markdown, phases, rows, suites, wording
from drillbook.report.terminal import summary
from tests.report import renderings, samples

HONEST = [name for name in samples.ALL if name not in ("hostile", "overwritten")]


def plain(text: str) -> str:
    """Words of a page, without markup and line breaks."""
    text = entities.unescape(re.sub(r"<[^>]*>|\\(?=[^\w\s])", "", text)).replace("\N{NO-BREAK SPACE}", " ")
    return " ".join(text.split())


@pytest.mark.parametrize("name", HONEST)
def test_every_figure_stands_in_every_format(name: str) -> None:
    view = samples.ALL[name]()
    for ending, text in {**renderings.rendered(name), "txt": renderings.printed(summary.summary(view), 300)}.items():
        words = plain(text)
        said = headlines.sentence(
            view, beside=ending != "xml"
        )  # the other formats have the sentences of end_state beside it
        assert said.replace("`", "") in words.replace("`", ""), ending
        for row in rows.rows_of(view.result):
            assert row.measured in words, (ending, row)
            assert (rows.DOES_NOT_COUNT if row.uncounted else row.state) in words
        for clock in clock_rows.clock_rows(view.result) if ending != "xml" else []:
            assert (clock.figure or clock.reason) in words, (ending, clock)
        for one in rows.findings_of(view.result):
            assert one.code in words, ending
        word = str(view.result.verdict) if ending == "xml" else dead_runs.word_of(view.result)
        assert word in words.lower(), "junit.xml is read by programs"


def test_the_sentence_of_a_passed_run() -> None:
    view = samples.passed()
    rto, rpo = view.result.objectives["rto"], view.result.objectives["rpo"]
    assert re.fullmatch(
        r"The service database was disrupted at \d\d:\d\d:\d\d UTC and served again "
        rf"{re.escape(figures.figure(rto.measured_s, rto.error_s, latest=True))} later; "
        rf"{rpo.lost_writes} of {rpo.acknowledged_writes} acknowledged test writes of the drill were lost, "
        rf"{re.escape(figures.figure(rpo.measured_s, rpo.error_s))} of data\.",
        headlines.sentence(view),
    )


def test_the_sentence_says_what_was_not_measured() -> None:
    found = headlines.sentence(samples.inconclusive())
    assert "no recovery was measured (probe.1 took no samples after the disruption)" in found
    assert (
        "the recovery point (RPO) was not measured (the canary could not be read back: `read`: GET http://127.0.0.1:"
        in found
    )
    assert headlines.sentence(samples.recorded("not_ready")) == (
        "The drill was refused. The system is not ready; nothing was touched."
    )


def with_objective(**more: object) -> RunView:
    view = samples.passed()
    values = {**view.result.objectives["rto"].model_dump(), **more}
    result = view.result.model_copy(update={"objectives": {"rto": Objective.model_validate(values)}, "clocks": {}})
    return view.model_copy(update={"result": result})


@pytest.mark.parametrize("more", [{"measured_s": None}, {"met": None}, {"measured_s": None, "met": None, "error_s": None}])
def test_an_objective_without_a_measurement_is_never_met(more: dict[str, object]) -> None:
    view = with_objective(**more)
    row = rows.objective_rows(view.result.objectives)[0]
    assert row.state == "not verified"
    said = rows.DOES_NOT_COUNT if row.measured_s is not None else "not verified"
    assert row.reason or row.uncounted == f"{said}: the result gives no reason"
    for text in renderings.formats(view).values():
        assert said in plain(text)
        assert not re.search(r"(?:✓|\*\*)\s*met\b", plain(text))


@pytest.mark.parametrize(
    "change",
    [
        {"objectives": {"rto": Objective(target_s=1, measured_s=None, error_s=None, met=True)}},
        {"objectives": {"rto": Objective(target_s=1, measured_s=2, error_s=0.1, met=False)}},
        {"residue": (Residue(step="s", host="h", what="w", why="y", by_hand="b"),)},
        {"steps": tuple(samples.step("verify.1", "x", status=s).result for s in ("unknown",))},
        {
            "steps": (
                samples.step("verify.1", "x", status="done").result,
                samples.step("verify.2", "x", status="skipped").result,
            )
        },
    ],
)
def test_a_pass_that_is_none_is_shown_as_a_contradiction(change: dict[str, object]) -> None:
    view = samples.passed()
    view = view.model_copy(update={"result": view.result.model_copy(update=change)})
    assert rows.contradictions(view)
    for ending, text in renderings.formats(view).items():
        assert ending == "xml" or "contradicts itself" in plain(text)
    assert ElementTree.fromstring(junit.render(view)).find(".//testcase[@name='verdict']/error") is not None


def test_a_clean_pass_has_no_contradiction() -> None:
    assert rows.contradictions(samples.passed()) == []
    assert "contradicts" not in html.render(samples.passed())


def with_residue(*, closed: bool) -> RunView:
    """Run that passed, and whose exit status tells that a change was not undone."""
    view = samples.passed()
    left = Residue(step="inject.1", host="a", what="pretend.break", why="no route to host", by_hand="mend door")
    settled = samples.recorded("closed").result.settled if closed else None
    result = view.result.model_copy(update={"residue": (left,), "exit": 5, "settled": settled})
    return view.model_copy(update={"result": result})


@pytest.mark.parametrize("closed", [False, True])
def test_a_run_that_passed_with_residue_does_not_contradict_itself(closed: bool) -> None:
    view = with_residue(closed=closed)
    assert rows.contradictions(view) == []
    for text in renderings.formats(view).values():
        assert "contradicts itself" not in plain(text)
        assert "do not count this run as passed" not in plain(text).lower()
    page = plain(html.render(view))
    assert ("Passed, with residue, closed" if closed else "Passed, with residue") in page
    verdict = ElementTree.fromstring(junit.render(view)).find(".//testcase[@name='verdict']/error")
    assert verdict is not None
    assert verdict.get("type") == "residue"


@pytest.mark.parametrize("closed", [False, True])
def test_a_suite_that_passed_with_residue_does_not_contradict_itself(closed: bool) -> None:
    suite, _ = samples.suite()
    view = with_residue(closed=closed)
    runs = ({**suite.runs[0], "verdict": "passed", "exit": 5},)
    suite = suite.model_copy(update={"verdict": Verdict.PASSED, "exit": 5, "runs": runs})
    texts = [
        html.render_suite(suite, [view]),
        markdown.render_suite(suite, [view]),
        renderings.printed(summary.suite_summary(suite, [view])),
    ]
    for text in texts:
        assert "contradicts itself" not in plain(text)
        assert "1 drill: 1 not verified." in plain(text), "it does not count as passed"
    hidden = suite.model_copy(update={"exit": 0})
    assert "contradicts itself" in plain(html.render_suite(hidden, [view])), "the suite conceals the residue"


def test_a_suite_does_not_pass_on_its_word() -> None:
    suite, _ = samples.suite()
    runs = ({**suite.runs[0], "verdict": "passed"},)
    suite = suite.model_copy(update={"verdict": Verdict.PASSED, "exit": 0, "runs": runs})
    for text in (
        html.render_suite(suite, []),
        markdown.render_suite(suite, []),
        renderings.printed(summary.suite_summary(suite, [])),
    ):
        assert "contradicts itself" in plain(text)
        assert "1 drill: 1 not verified." in plain(text)
    tree = ElementTree.fromstring(junit.render_suite(suite, []))
    assert tree.get("errors") == tree.get("tests") == "2"
    passed = samples.passed()
    assert "contradicts" not in html.render_suite(suite, [passed])


def test_kept_writes_of_a_canary_that_was_not_read_back_are_not_called_kept() -> None:
    page = html.render(samples.inconclusive())
    assert "acknowledged, survival unknown" in page
    assert 'class="kept"' not in page


def test_a_phase_that_never_began_is_skipped() -> None:
    found = {row.phase: row.status for row in phases.phase_rows(samples.recorded("died"))}
    assert found == {"ready": "done", "inject": "interrupted", "restore": "skipped", "verify": "skipped"}


def test_a_phase_without_steps_says_so_and_is_not_called_done() -> None:
    result = samples.passed().result
    for seconds, time in ((0.0, ""), (2.5, "2.50 s")):
        empty = PhaseResult(phase="cleanup", status="done", seconds=seconds)
        view = samples.view(result.model_copy(update={"phases": (*result.phases, empty)}))
        (row,) = [row for row in phases.phase_rows(view) if row.phase == "cleanup"]
        assert (row.state, row.took) == ("no steps", time)
        page = html.render(view)
        block = page.split('<div class="phase-block">')[-1].split("</div>")[0]
        assert plain(block) == f"cleanup– no steps{time}"
        assert "No steps." not in page
        assert re.search(rf"\| cleanup \| no steps \| {time or 'no time'} \| 0 \|", markdown.render(view))
        (line,) = [one for one in renderings.printed(summary.summary(view), 120).splitlines() if "cleanup" in one]
        assert line.split() == ["cleanup", "–", "no", "steps", *time.split(), "none"]
    stopped = PhaseResult(phase="cleanup", status="interrupted", seconds=0.0)
    view = samples.view(result.model_copy(update={"phases": (*result.phases, stopped)}))
    assert phases.phase_rows(view)[-1].state == "interrupted"
    assert "No steps." in html.render(view)


def test_every_format_says_that_the_lab_is_a_test_environment() -> None:
    view = samples.passed()
    plan = view.plan["inventory"]
    other = view.model_copy(update={"plan": view.plan | {"inventory": plan | {"protected": True, "lab": None}}})
    suite, views = samples.suite()
    for one, told in ((view, True), (other, False)):
        for ending, text in renderings.formats(one).items():
            assert (wording.TEST_ENVIRONMENT in plain(text)) is (told and ending != "xml"), ending
        assert (f"environment lab, {wording.TEST_ENVIRONMENT}" in plain(renderings.printed(summary.summary(one)))) is told
    for text in (markdown.render_suite(suite, views), renderings.printed(summary.suite_summary(suite, views))):
        assert f"lab, {wording.TEST_ENVIRONMENT}" in plain(text)


@pytest.mark.parametrize("name", samples.ALL)
def test_none_is_never_printed(name: str) -> None:
    for text in renderings.rendered(name).values():
        assert not re.search(r"\bNone\b|\bnan\b|Undefined", plain(text))


def test_contacts_owner_first() -> None:
    found = rows.contact_rows(samples.passed())
    assert [(name, owner) for name, _, owner in found][:2] == [("dba", True), ("architect", False)]
    assert "值班工程师" in html.render(samples.passed())


def test_a_suite_tells_that_its_detections_are_by_the_drills_own_probes() -> None:
    """They prove no alerting; a detection by an alert is not named."""
    suite, views = samples.suite()
    told = "Detection by the drill's probe, which proves no alerting: "
    names = [row.drill for row in suites.suite_rows(suite, views) if any(one.by_probe for one in row.objectives)]
    assert names
    for text in (html.render_suite(suite, views), markdown.render_suite(suite, views)):
        assert told + names[0] in plain(text)
