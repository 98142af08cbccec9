"""Runs that a person or a signal stopped: plain words on every page, no cause to mend, and the record as it was."""

from __future__ import annotations

import json

import pytest

from drillbook.findings import finding
from drillbook.judge.result import Verdict
from drillbook.report import formats, index, stop_words, suite_steps
from drillbook.report.terminal import summary
from tests.report import renderings, samples


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        ("the run was stopped by SIGINT", "the run was stopped by a person (Ctrl-C)"),
        (
            "the run was stopped by SIGTERM before inject.1 ended",
            "the run was stopped by SIGTERM (a stop request, for example of a pipeline) before inject.1 ended",
        ),
        ("the run was stopped by SIGHUP", "the run was stopped by SIGHUP (its terminal was closed)"),
        ("the run was stopped by the file stop: SIGINT", "the run was stopped by the file stop: SIGINT"),
        ("app-1 was stopped by SIGINT", "app-1 was stopped by SIGINT"),
        ("", ""),
    ],
)
def test_the_sender_of_a_signal_has_words(recorded, told):
    assert stop_words.in_words(recorded) == told
    assert stop_words.in_words(told) == told, "said once"


def test_every_page_says_that_a_person_stopped_the_run_and_the_record_keeps_the_signal():
    view = samples.recorded("stopped")
    for kind, text in renderings.formats(view).items():
        assert "stopped by a person (Ctrl-C)" in " ".join(text.replace("\\", "").split()), kind
        assert "SIGINT" not in text, kind
    (found,) = [one for one in samples.recorded("stopped").result.findings if one.code == "aborted"]
    assert found.measured == "the run was stopped by SIGINT"
    assert json.loads(formats.as_json(view.result))["reason"] == "the run was stopped by SIGINT"


def test_a_stopped_run_has_nothing_to_mend():
    view = samples.recorded("stopped")
    text = " ".join(renderings.printed(summary.summary(view)).split())
    assert stop_words.RUN_AGAIN in text
    assert "When the reason for the stop is gone" not in text
    suite, _ = samples.suite()
    steps = suite_steps.after_suite("invoke", suite.model_copy(update={"verdict": Verdict.ABORTED}), [view], "")
    assert ("run it again", f"invoke drill {view.result.drill}") in steps
    broken = view.model_copy(update={"result": view.result.model_copy(update={"reason": "the disk was too full"})})
    steps = suite_steps.after_suite("invoke", suite.model_copy(update={"verdict": Verdict.ABORTED}), [broken], "")
    assert ("after the correction", f"invoke drill {view.result.drill}") in steps


def test_the_index_says_who_stopped_the_run():
    result = json.loads(formats.as_json(samples.recorded("stopped").result))
    assert index._reason(result) == "the run was stopped by a person (Ctrl-C)"


def test_a_stop_with_a_reason_that_a_person_wrote_keeps_its_remedy():
    asked = finding("aborted", measured="the run was stopped by the file stop: there is an incident")
    assert stop_words.shown(asked, [asked]) == asked
    assert "When the reason for the stop is gone" in asked.remedy


@pytest.mark.parametrize(("code", "said"), [("removed-data-missing", False), ("file-time", True), (None, True)])
def test_nothing_has_to_be_corrected_only_if_the_run_found_nothing_else(code, said):
    stop = finding("aborted", measured="the run was stopped by SIGINT")
    others = [stop, *([finding(code)] if code else [])]
    assert ("Nothing has to be corrected" in stop_words.shown(stop, others).remedy) is said
