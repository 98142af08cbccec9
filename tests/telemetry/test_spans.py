"""Spans of a trace, from the events of a journal alone."""

from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged
from drillbook.telemetry import spans
from drillbook.telemetry.ids import ROOT
from tests.engine.test_runner import Bench, step
from tests.judge.story import ACKS, SAMPLES, Story


def told(tmp_path):
    return Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().end()


def test_steps_lie_in_their_phases_and_all_in_the_drill(tmp_path):
    made = spans.of_run(told(tmp_path).events, "passed")
    by_key = {span.key: span for span in made}
    assert made[0].key == ROOT
    assert (made[0].parent, made[0].name, made[0].error) == ("", "drill sample", "")
    for span in made[1:]:
        parent = by_key[span.parent]
        assert parent.start <= span.start <= span.end <= parent.end, span.name
    assert {span.name for span in made if span.parent == ROOT} >= {"inject", "restore", "verify"}
    on_hosts = [span for span in made if span.attributes.get("drillbook.host")]
    assert on_hosts
    assert {by_key[span.parent].attributes["drillbook.step"] for span in on_hosts} == {
        span.attributes["drillbook.step"] for span in on_hosts
    }


def test_texts_of_a_journal_are_short_in_a_trace_and_its_plan_is_left_out(tmp_path):
    story = told(tmp_path)
    story.add(30.0, "note", message="x" * 2 * spans.LONGEST)
    moments = [moment for span in spans.of_run(story.events) for moment in span.moments]
    (note,) = [moment for moment in moments if moment.name == "note"]
    assert len(note.attributes["message"]) == spans.LONGEST + 1
    assert not any({"plan", "facts", "acknowledged"} & moment.attributes.keys() for moment in moments)


def test_a_recovery_after_the_run_is_not_part_of_its_trace(tmp_path):
    story = told(tmp_path)
    before = spans.of_run(story.events)
    story.add(100.0, "recovery.started")
    story.add(101.0, "note", message="later")
    assert spans.of_run(story.events) == before


def test_a_suite_is_one_span(tmp_path):
    (span,) = spans.of_suite("run", "handbook", 10**18, 1.5, "failed")
    assert (span.key, span.parent, span.name, span.error) == (ROOT, "", "suite handbook", "failed")
    assert span.end - span.start == 1_500_000_000
    assert spans.of_suite("run", "handbook", 10**18, 1.5, spans.PASSED)[0].error == ""


def test_a_run_that_failed_or_died_is_a_trace_with_errors(tmp_path):
    bench = Bench(tmp_path)
    view = bench.run("restore:\n" + step(["false"]))
    events = read(bench.folder / FILE).events
    found = {one.name: one for one in spans.of_run(events, str(view.result.verdict))}
    assert found["drill sample"].error == "failed"
    assert "the phase failed" in found["restore"].error
    assert "status 1" in found["command.run on controller"].error
    died = [event for event in events if event.kind not in ("done", "failed", "phase.ended", "run.finished")]
    found = {one.name: one for one in spans.of_run(died)}
    assert found["command.run on controller"].error == "unfinished at the end of the run"
    assert found["drill sample"].end >= found["command.run on controller"].end
    assert judged(RunState(bench.folder)).result.verdict is Verdict.FAILED
