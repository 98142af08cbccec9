"""Notes below the table of probes."""

from __future__ import annotations

from drillbook.report import html, markdown, probe_notes
from tests.report import samples


def test_the_column_of_late_samples_is_explained_where_it_stands() -> None:
    for render in (html.render, markdown.render):
        assert "Late: samples that began more than one interval after their planned time" in render(samples.passed())
    bare = samples.passed()
    bare = bare.model_copy(update={"timeline": bare.timeline.model_copy(update={"probes": ()})})
    assert probe_notes.probe_notes(bare) == []


def test_the_stalls_of_the_controller_are_named_with_their_times() -> None:
    view = samples.passed().model_copy(update={"stalls": ((5.2, 5.61), (9.0, 9.2))})
    text = probe_notes.probe_notes(view)[-1]
    assert "stalled 2 times, 0.61 s in all" in text
    assert text.endswith(": 5.20 s to 5.61 s, 9.00 s to 9.20 s.")
    many = tuple((float(at), at + 0.1 + at / 100) for at in range(20))
    text = probe_notes.probe_notes(view.model_copy(update={"stalls": many}))[-1]
    assert "The 8 longest: 12.00 s to 12.22 s, " in text
