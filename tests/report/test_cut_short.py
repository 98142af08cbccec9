"""A step that was cut short says so beside its output, which would look like the reason."""

from __future__ import annotations

import pytest

from drillbook.judge.result import Verdict
from drillbook.report import cut_short, html, junit, markdown, stop_words
from tests.report import samples
from tests.report.test_agreement import plain

ERROR = 'ERROR: role "postgres" already exists'
PSQL = samples.command("psql", "-f", "-", exit=3, err=ERROR)
BY_PERSON = "The step did not fail: a person stopped the run (by {}) while the step was in progress."


def stopped(**more):
    step = samples.step("restore.1", "postgres.restore", status="cancelled", commands=(PSQL,), **more)
    reason = "the run was stopped by the file stop: root@vm: wrong database"
    result = samples.result(verdict=Verdict.ABORTED, reason=reason)
    return samples.view(result, steps=(step,))


def test_every_format_says_that_the_output_of_a_stopped_step_is_not_the_reason():
    view = stopped()
    note = f"{BY_PERSON.format('the file stop: root@vm: wrong database')} {cut_short.NOT_THE_REASON}"
    for render in (html.render, markdown.render, junit.render):
        text = plain(render(view))
        assert text.index(note) < text.index(ERROR), render


def test_the_recorded_run_that_was_stopped_says_so():
    view = samples.recorded("stopped")
    said = cut_short.stop_of(view.result)
    assert said.startswith("The step did not fail: a person stopped the run (by ")
    for render in (html.render, markdown.render):
        assert said in plain(render(view))


@pytest.mark.parametrize(
    ("verdict", "reason", "said"),
    [
        (Verdict.ABORTED, "the run was stopped by SIGINT", BY_PERSON.format("Ctrl-C")),
        (Verdict.ABORTED, "the run was stopped by a request on the target: zhang.min",
         BY_PERSON.format("a request on the target: zhang.min")),
        (Verdict.ABORTED, "the run was stopped by SIGTERM",
         f"The step did not fail: it was stopped before its end, because {stop_words.in_words('the run was stopped by SIGTERM')}."),
        (Verdict.ABORTED, "a guard stopped the run: the API: 503",
         "The step did not fail: it was stopped before its end, because a guard stopped the run: the API: 503."),
        (Verdict.FAILED, "restore.2 command.run failed: no", "The step did not fail: it was stopped before its end."),
    ],
)  # fmt: skip
def test_who_stopped_the_run_is_told_only_if_the_reason_tells_it(verdict, reason, said):
    assert cut_short.stop_of(samples.result(verdict=verdict, reason=reason)) == said


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        ("unknown", "", cut_short.UNKNOWN),
        ("error", "db-1: `psql` exceeded its time limit; it was killed", cut_short.TIME),
        ("error", "the step's timeout expired", cut_short.TIME),
        ("error", "db-1 is unreachable", ""),
        ("failed", "psql ended with status 3", ""),
        ("done", "", ""),
    ],
)
def test_other_steps_that_were_cut_short_have_a_note_if_they_printed_something(status, message, said):
    step = samples.step("restore.1", "postgres.restore", status=status, message=message, commands=(PSQL,))
    assert cut_short.note(step, "Stopped.", step.commands) == said
    assert cut_short.note(step, "Stopped.", ()) == ""


def test_a_stopped_step_that_printed_nothing_has_no_word_about_output():
    assert cut_short.note(stopped().steps[0], "Stopped.", ()) == "Stopped."
