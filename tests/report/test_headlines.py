"""The headline of a run tells first what failed, and claims no recovery that a verification did not confirm."""

from __future__ import annotations

import pytest

from drillbook.findings import finding
from drillbook.judge.result import Verdict
from drillbook.report import end_state, headlines, html, junit, markdown, rows, wording
from tests.report import renderings, samples
from tests.report.test_agreement import plain


def test_a_failed_verification_comes_before_the_figures() -> None:
    text = headlines.sentence(samples.failed())
    assert text == (
        "Verification failed: verify.1 Every table equals the backup: database differs from the backup: A table's content differs from the "
        "backup: public.chunks. Recovery of database is not proven: it was disrupted at 19:04:07 UTC, and a probe was good again "
        "35.78 s +0/−0.16 s later; 107 of 149 acknowledged test writes of the drill were lost, 10.70 s ± 0.11 s of data; these figures do not "
        "count."
    )
    assert "served again" not in text


def test_all_formats_begin_with_it() -> None:
    view = samples.failed()
    head = "Verification failed: verify.1 Every table equals the backup"
    for text in (html.render(view), markdown.render(view), junit.render(view)):
        assert head in plain(text)
    assert head in plain(renderings.printed(headlines.sentence(view), 400))


@pytest.mark.parametrize(
    ("status", "head"),
    [("error", "Verification could not be carried out: verify.1"), ("unverified", "Verification could not be carried out")],
)
def test_a_verification_without_an_answer_proves_nothing_either(status: str, head: str) -> None:
    view = samples.failed()
    steps = tuple(
        one.model_copy(update={"result": one.result.model_copy(update={"status": status})})
        if one.result.id == "verify.1"
        else one
        for one in view.steps
    )
    doubtful = view.result.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": "no answer"})
    text = headlines.sentence(view.model_copy(update={"steps": steps, "result": doubtful}))
    assert text.startswith(head)
    assert " No answer. Recovery of database is not proven" in text
    assert text.endswith("these figures do not count.")


def test_a_probe_that_never_was_bad_was_not_good_again() -> None:
    view = samples.failed()
    marks = {name: at for name, at in view.timeline.marks.items() if name not in ("first_bad", "recovered")}
    clocks = {**view.result.clocks, "rto_s": 0.0, "rto_error_s": 0.2}
    result = view.result.model_copy(update={"clocks": clocks, "objectives": {}})
    timeline = view.timeline.model_copy(update={"marks": marks})
    text = headlines.sentence(view.model_copy(update={"result": result, "timeline": timeline}))
    assert "and no probe saw an outage longer than 0.200 s" in text
    assert "good again" not in text


def test_a_run_that_passed_begins_with_its_recovery() -> None:
    assert headlines.sentence(samples.passed()).startswith("The service database was disrupted at ")
    assert headlines.story(samples.recorded("too_slow")).startswith("The service app was disrupted at ")


def test_the_meaning_of_a_failed_run_names_what_failed() -> None:
    assert wording.explained(samples.failed().result) == "A verification failed."
    slow = samples.recorded("too_slow").result
    assert wording.explained(slow) == "The RTO objective was missed."
    steps = (*samples.failed().result.steps, *slow.steps)
    both = slow.model_copy(update={"steps": steps})
    assert wording.explained(both) == "A verification failed and the RTO objective was missed."
    assert "or data" in wording.explained(slow.model_copy(update={"objectives": {}})), "no step and no objective says why"
    assert "A verification failed. Exit status 1." in plain(html.render(samples.failed()))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('http://a/x answered 200, not 201: {"documents":[{"id":1,"title":"a: b', "http://a/x answered 200, not 201"),
        ("request 1 of 2, Look: status 503: <html><h1>", "request 1 of 2, Look: status 503"),
        (
            "the decompression program ended with status 141: [E] checksum",
            "the decompression program ended with status 141: [E] checksum",
        ),
        ("status 200: all is well", "status 200: all is well"),
        ("the status is not one of: [1, 2]", "the status is not one of: [1, 2]"),
    ],
)
def test_the_body_of_an_answer_in_an_older_journal_is_no_headline(message: str, said: str) -> None:
    assert wording.without_body(message) == said
    view = samples.failed()
    steps = tuple(one.model_copy(update={"message": message}) if one.result.id == "verify.1" else one for one in view.steps)
    text = headlines.sentence(view.model_copy(update={"steps": steps}))
    assert f"{said}. Recovery of database is not proven" in text
    result = samples.passed().result.model_copy(update={"verdict": Verdict.FAILED, "reason": f"x failed: {message}"})
    assert headlines.reason(samples.view(result)).endswith(f"failed: {said}.")


def test_a_finding_about_an_answer_of_an_older_journal_quotes_no_body() -> None:
    old = finding("http-unexpected", wanted="status 201", measured='status 200: {"documents":[')
    assert rows.findings_of(samples.result(findings=(old,)))[0].measured == "status 200"


@pytest.mark.parametrize("met", [None, True])
def test_figures_of_a_run_that_was_stopped_do_not_count(met: bool | None) -> None:
    view = samples.failed()
    objectives = {key: one.model_copy(update={"met": met}) for key, one in view.result.objectives.items()}
    stopped = {"verdict": Verdict.ABORTED, "reason": "the run was stopped by SIGINT", "objectives": objectives}
    text = headlines.sentence(view.model_copy(update={"result": view.result.model_copy(update=stopped)}))
    assert text.endswith("10.70 s ± 0.11 s of data; these figures do not count. The run was stopped by a person (Ctrl-C).")


def test_a_stopped_run_says_that_its_undo_made_the_service_available_again() -> None:
    text = headlines.sentence(samples.recorded("stopped"))
    assert " later, by the undo of the stopped run; " in text
    assert "; these figures do not count. The run was stopped by " in text
    assert "by the undo" not in headlines.sentence(samples.passed())


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("app-1 could not be reached", "app-1 could not be reached."),
        ("db: no space is left", "db: no space is left."),
        ("shop did not answer", "shop did not answer."),
        ("the host stopped", "The host stopped."),
    ],
)
def test_names_of_hosts_and_services_keep_their_case_at_the_beginning(reason: str, sentence: str) -> None:
    view = samples.failed()
    step = view.result.steps[0].model_copy(update={"host": "db"})
    stopped = {"verdict": Verdict.ABORTED, "reason": reason, "service": "shop", "steps": (step, *view.result.steps[1:])}
    text = headlines.sentence(view.model_copy(update={"result": view.result.model_copy(update=stopped)}))
    assert text.endswith(f" {sentence}")


@pytest.mark.parametrize("key", ["rto", "rpo"])
def test_the_only_figure_that_does_not_count_is_named(key: str) -> None:
    view = samples.failed()
    objectives = {
        name: one.model_copy(update={"met": None if name == key else False}) for name, one in view.result.objectives.items()
    }
    stopped = {"verdict": Verdict.ABORTED, "reason": "", "objectives": objectives}
    text = headlines.sentence(view.model_copy(update={"result": view.result.model_copy(update=stopped)}))
    assert text.endswith(f"; the {key.upper()} does not count.")


def test_the_first_words_of_a_failed_run_are_the_reason() -> None:
    slow = samples.recorded("too_slow")
    reason = headlines.reason(slow)
    assert reason.startswith("Objective missed: RTO (")
    assert ", target " in reason
    page = plain(html.render(slow).partition("<header>")[2])
    state = end_state.lead(slow)
    assert page.index(reason) < page.index(headlines.story(slow)) < page.index(state)
    assert f'<p class="ending"><bdi>{reason[:20]}' in html.render(slow)
    text = plain(markdown.render(slow)).replace("\\", "")
    assert text.index(reason) < text.index(state)
    for name in ("failed", "not_whole", "inconclusive"):
        view = samples.recorded(name)
        assert headlines.sentence(view).startswith(headlines.reason(view) or "-")
    for name in ("passed", "stopped", "recovered", "not_ready"):
        assert headlines.reason(samples.recorded(name)) == ""
