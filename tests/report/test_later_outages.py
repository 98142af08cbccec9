"""Bad samples after the recovery are explained in words."""

from __future__ import annotations

from drillbook.judge.result import RunView, Span
from drillbook.report import html, markdown
from drillbook.report.later_outages import later_outages
from tests.report import samples


def with_bad(*spans: tuple[float, float | None]) -> RunView:
    view = samples.passed()
    first = view.timeline.probes[0]
    assert first.kind == "availability"
    bad = [Span(label="bad", start=start, end=end, count=2) for start, end in spans]
    track = first.model_copy(update={"stretches": (*first.stretches, *bad)})
    line = view.timeline.model_copy(update={"probes": (track, *view.timeline.probes[1:])})
    return view.model_copy(update={"timeline": line})


def test_a_run_without_bad_samples_after_the_recovery_needs_no_words() -> None:
    assert later_outages(samples.passed()) == []
    early = samples.passed().timeline.marks["recovered"] - 1
    assert later_outages(with_bad((early, early + 0.5))) == []


def test_bad_samples_after_the_recovery_are_told_with_their_times_and_phases() -> None:
    line = samples.passed().timeline
    at = line.marks["recovered"] + 0.01
    phase = next(one for one in line.phases if one.start < at < (one.end or line.seconds))
    view = with_bad((at, at + 0.001))
    (text,) = later_outages(view)
    name = view.timeline.probes[0].name
    assert text.startswith(f"After the recovery, {name} was bad again from ")
    assert (
        f"during {phase.label}. These times are those of the probe's samples. The outage and the RTO do not include this"
        in text
    )
    assert " from " in html.render(view).split('class="later"')[1][:200]
    assert "was bad again from" in markdown.render(view)


def test_several_outages_are_counted() -> None:
    at = samples.passed().timeline.marks["recovered"]
    (text,) = later_outages(with_bad((at + 0.1, at + 0.2), (at + 0.5, None)))
    assert "was bad again 2 times from" in text
    assert "to the end of the run" in text


def test_a_probe_that_was_good_until_then_is_not_bad_again() -> None:
    at = samples.passed().timeline.marks["recovered"]
    view = with_bad((at + 0.1, at + 0.2))
    track = view.timeline.probes[0]
    track = track.model_copy(update={"stretches": track.stretches[-1:]})
    line = view.timeline.model_copy(update={"probes": (track, *view.timeline.probes[1:])})
    (text,) = later_outages(view.model_copy(update={"timeline": line}))
    assert f"{track.name} was bad from" in text
