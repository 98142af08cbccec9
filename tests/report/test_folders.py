"""Facts about a run that are read without its whole journal."""

import json

import pytest

from drillbook.report import folders
from drillbook.sdk.run_names import drill_of

RUN = "20260301T102030.123Z-sample-0a1b"


def written(folder, *events, cut=""):
    text = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events)
    (folder / "journal.jsonl").write_text(text + cut)
    return folder


def event(kind, **data):
    return {"kind": kind, "data": data}


def test_the_name_of_a_run_tells_its_drill_and_its_start():
    assert (drill_of(RUN), folders.begun(RUN)) == ("sample", "2026-03-01T10:20:30.123000Z")
    assert drill_of("latest") == folders.begun("latest") == ""


@pytest.mark.parametrize(
    ("folder", "suite"),
    [(f"/r/{RUN}/{RUN}", f"/r/{RUN}"), (f"/r/{RUN}", ""), (RUN, ""), ("/r/other/x", "")],
)
def test_a_run_in_the_folder_of_another_belongs_to_a_suite(folder, suite):
    assert folders.suite_of(folder) == suite


def test_the_last_word_is_the_newest_event_that_ended_the_run_or_its_recovery(tmp_path):
    began, failed, recovered = event("run.started"), event("run.finished", verdict="failed"), event("step.started", id="x")
    assert folders.last_word(written(tmp_path, began)) is None
    assert folders.last_word(written(tmp_path, began, failed, recovered)) == {"verdict": "failed"}
    again = event("recovery.finished", verdict="aborted")
    assert folders.last_word(written(tmp_path, began, failed, again)) == {"verdict": "aborted"}


def test_an_end_that_lies_far_before_the_end_of_the_file_is_found(tmp_path):
    much = [event("step.output", text="x" * 1000) for _ in range(3 * folders.TAIL // 1000)]
    assert folders.last_word(written(tmp_path, event("run.finished", verdict="passed"), *much)) == {"verdict": "passed"}


def test_a_line_that_was_cut_off_and_text_that_only_names_an_end_are_none(tmp_path):
    named = event("step.output", text='"run.finished"')
    cut = json.dumps(event("run.finished", verdict="passed"))
    assert folders.last_word(written(tmp_path, event("run.started"), named, cut=cut)) is None


def test_what_cannot_be_read_is_empty(tmp_path):
    assert (folders.verdict(tmp_path), folders.first_event(tmp_path), folders.last_word(tmp_path)) == ("", {}, None)
    (tmp_path / "result.json").write_text('{"verdict": "passed"}')
    assert folders.verdict(tmp_path) == "passed"
    (tmp_path / "result.json").write_text("[]")
    assert folders.verdict(tmp_path) == ""
    assert folders.first_event(written(tmp_path, event("run.started", run=RUN), event("x"))) == event("run.started", run=RUN)
