"""The timeline of a run as a drawing in pixels: lanes, marks, spans and an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from drillbook.judge.result import ProbeTrack, RunView, Span
from drillbook.report import canary_writes, remarks
from drillbook.report.figures import count, milliseconds, one_line, seconds
from drillbook.report.labels import BOLD, FONT, GAP, ROW, Box, Flag, Label, avoiding, first_free, fit, flags, label
from drillbook.report.moments import MARKS, mark_name
from drillbook.report.phases import CHECKS, PhaseRow, checked, checks, phase_row_at, phase_rows
from drillbook.report.rows import DOES_NOT_COUNT, rows_of
from drillbook.report.wording import NO_STEPS, STEP_SHAPES, written

WIDE, NARROW = 1000.0, 358.0
EDGE = 12.0
PHASE_HEIGHT = 24.0
LANE_HEIGHT = 20.0
LEAST = 2.0
FINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
STEPS = (*FINE, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
"""Distances between ticks, in seconds. ``FINE``: distances below one second."""
CLOSE_UP = 0.2
"""Longest span of time for which a close-up is drawn, as a fraction of the run's duration. A close-up is a second drawing
that shows the span with all marks larger.
"""
WORDS = {
    "good": "good",
    "bad": "bad",
    "kept": "acknowledged and survived",
    "lost": "acknowledged and lost",
    "refused": "not acknowledged",
    "unproven": "acknowledged, survival unknown",
    "unheard": "not measured, because the controller itself stalled",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """Converts seconds on the run's clock to pixels."""

    start: float
    end: float
    width: float

    def x(self, at: float) -> float:
        """Return the horizontal position of the time ``at``. A time outside of the drawing is moved to its edge."""
        share = (at - self.start) / (self.end - self.start)
        return EDGE + min(1.0, max(0.0, share)) * (self.width - 2 * EDGE)

    def holds(self, at: float) -> bool:
        """Return True when the time ``at`` is inside the scale."""
        return self.start <= at <= self.end


@dataclass(frozen=True, slots=True)
class Piece:
    """One span of a lane, in pixels."""

    x: float
    width: float
    kind: str
    title: str
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """A named row of spans: the phases, or the samples of one probe."""

    name: Label
    note: Label | None
    y: float
    height: float
    pieces: tuple[Piece, ...]
    counts: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Dimension:
    """A measured span between two marks. Its label is the measured duration."""

    x1: float
    x2: float
    y: float
    key: str
    label: Label

    @property
    def lines(self) -> list[tuple[float, float]]:
        """Segments of the line, each as start and end in pixels.

        There are two segments if the label interrupts the line, and one otherwise.
        """
        box = self.label.box
        if self.x1 < box.x and box.right < self.x2 and box.y < self.y < box.y + box.height:
            return [(self.x1, box.x - 4), (box.right + 4, self.x2)]
        return [(self.x1, self.x2)]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in the drawing: a vertical line through all lanes, with a label at the top."""

    key: str
    x: float
    top: float
    label: Label


@dataclass(frozen=True, slots=True)
class Drawing:
    """A timeline, ready to be drawn."""

    width: float
    height: float
    title: str
    description: str
    marks: tuple[Mark, ...]
    lanes: tuple[Lane, ...]
    dimensions: tuple[Dimension, ...]
    ticks: tuple[Label, ...]
    axis_y: float

    def covers(self) -> list[Box]:
        """Boxes around the labels that vertical lines may cross. Each box is drawn over the lines and under its label."""
        boxes = [dimension.label.box for dimension in self.dimensions]
        for lane in self.lanes:
            boxes += [text.box for text in (lane.name, *([lane.note] if lane.note else []), *lane.counts)]
        return boxes

    def labels(self) -> list[Label]:
        """Every label in the drawing."""
        all_labels = (
            [mark.label for mark in self.marks] + list(self.ticks) + [dimension.label for dimension in self.dimensions]
        )
        for lane in self.lanes:
            all_labels += [lane.name, *([lane.note] if lane.note else []), *lane.counts]
            all_labels += [piece.label for piece in lane.pieces if piece.label]
        return all_labels


def draw(view: RunView, width: float = WIDE, *, close_up: bool = False) -> Drawing:
    """Lay out the timeline of the whole run, or a close-up of the part that contains all marks."""
    line = view.timeline
    start, end = window(view) if close_up else (0.0, max(line.seconds, *_ends(view), 0.001))
    scale = Scale(start, end, width)
    marks, top = _marks(view, scale)
    lanes, y = _lanes(view, scale, top + 8)
    dimensions, axis_y = _dimensions(view, scale, y + 6)
    what = "Close-up of the timeline" if close_up else "Timeline"
    return Drawing(
        width=width,
        height=axis_y + 30,
        title=f"{what} of run {one_line(view.result.run)}",
        description=_description(view),
        marks=marks,
        lanes=lanes,
        dimensions=dimensions,
        ticks=_ticks(scale, axis_y),
        axis_y=axis_y,
    )


def window(view: RunView) -> tuple[float, float]:
    """Return the span of time that contains all marks and a margin, in seconds on the run's clock."""
    moments = sorted(view.timeline.marks.values())
    air = max((moments[-1] - moments[0]) * 0.12, 0.05)
    return moments[0] - air, moments[-1] + air


def wants_close_up(view: RunView) -> bool:
    """Return True when the marks are too close together to be distinguished in the drawing of the whole run."""
    if len(view.timeline.marks) < 3:
        return False
    start, end = window(view)
    return end - start < CLOSE_UP * view.timeline.seconds


def _ends(view: RunView) -> list[float]:
    stretches = [span for track in view.timeline.probes for span in track.stretches]
    return [span.end if span.end is not None else span.start for span in [*view.timeline.phases, *stretches]] or [0.0]


def _marks(view: RunView, scale: Scale) -> tuple[tuple[Mark, ...], float]:
    known = [(view.timeline.marks[key], key) for key in MARKS if key in view.timeline.marks]
    known = sorted((at, key) for at, key in known if scale.holds(at))
    texts = [(scale.x(at), f"{mark_name(view.result, key)} {seconds(at, 2 if at < 60 else 1)}") for at, key in known]
    placed: list[Flag] = flags(texts, scale.width)
    marks = tuple(Mark(key, flag.x, flag.row * ROW + 2, flag.label) for flag, (_, key) in zip(placed, known, strict=True))
    return marks, (max((flag.row for flag in placed), default=-1) + 1) * ROW + 2


def _lanes(view: RunView, scale: Scale, y: float) -> tuple[tuple[Lane, ...], float]:
    lanes = []
    if view.timeline.phases:
        lane, y = _phase_lane(view, scale, y)
        lanes.append(lane)
    for track in view.timeline.probes:
        lane, y = _probe_lane(view, track, scale, y)
        lanes.append(lane)
    return tuple(lanes), y


def _phase_lane(view: RunView, scale: Scale, y: float) -> tuple[Lane, float]:
    top = y + ROW
    pieces: list[Piece] = []
    below: list[Label] = []
    known = phase_rows(view)
    lines = _lines(view, scale)
    spans = sorted([*view.timeline.phases, *filter(None, [checks(view)])], key=lambda span: span.start)
    drawn = [_phase_piece(view, span, number, known, scale) for number, span in enumerate(spans)]
    for name, piece in filter(None, drawn):
        middle = piece.x + piece.width / 2
        if inner := _inner(name, piece, top, lines):
            pieces.append(replace(piece, label=inner))
            continue
        pieces.append(piece)
        if "empty" in piece.kind:  # its name would seem to belong to its neighbour
            continue
        outer = [
            label(name, middle, top + PHASE_HEIGHT + row * ROW, anchor=anchor)
            for row in range(3)
            for anchor in ("middle", "start", "end")
        ]
        known_boxes = [replace(taken.box, x=taken.box.x - EDGE, width=taken.box.width + 2 * EDGE) for taken in below]
        placed = first_free(known_boxes, avoiding(outer, lines), 0, scale.width)
        below += [placed] if placed else []
    rows = max((math.ceil((taken.box.y + ROW - top - PHASE_HEIGHT) / ROW) for taken in below), default=0)
    lane = Lane(label("phases", EDGE, y, font=BOLD), None, top, PHASE_HEIGHT, tuple(pieces), tuple(below))
    return lane, top + PHASE_HEIGHT + rows * ROW + 10


def _phase_piece(
    view: RunView, span: Span, number: int, known: Sequence[PhaseRow], scale: Scale
) -> tuple[str, Piece] | None:
    """Return the name of ``span``, which is a phase or the checks between two phases, and its piece of the drawing. The result
    is None for a span outside of the drawing.
    """
    if not _inside([span], view.timeline.seconds, scale):
        return None
    end = view.timeline.seconds if span.end is None else span.end
    times = f"{seconds(span.start, 2)} to {seconds(end, 2)}"
    if span.label == CHECKS:
        return CHECKS, _piece(span, end, "phase checks", f"{checked(view)}: {times}", scale)
    row = phase_row_at(known, span, view)
    state = row.status if row else "interrupted"
    name = one_line(row.name if row else span.label)
    name = name if state == "done" else f"{STEP_SHAPES.get(state, '?')} {name}"
    title = f"{name}, {row.state if row else state}: {times}"
    kind = f"phase {'even' if number % 2 else 'odd'} {state}{' empty' if row and row.state == NO_STEPS else ''}"
    return name, _piece(span, end, kind, title, scale)


def _inner(name: str, piece: Piece, top: float, lines: Sequence[float]) -> Label | None:
    """Return a label inside of a phase, if possible not crossed by ``lines``. Return None if the phase is too narrow for it."""
    places = (piece.x + piece.width * share for share in (0.5, 0.35, 0.65, 0.2, 0.8))
    wanted = [label(name, x, top, anchor="middle", height=PHASE_HEIGHT) for x in places]
    return first_free([], avoiding(wanted, lines), piece.x + 3, piece.x + piece.width - 3)


def _probe_lane(view: RunView, track: ProbeTrack, scale: Scale, y: float) -> tuple[Lane, float]:
    top, end = y + ROW, view.timeline.seconds
    pieces = []
    for span in _inside(track.stretches, end, scale):
        kind = "unproven" if track.error and span.label == "kept" else span.label
        until = end if span.end is None else span.end
        said = WORDS.get(kind, one_line(kind))
        title = f"{said}: {seconds(span.start, 2)} to {seconds(until, 2)}"
        if span.count is not None:
            title += f", {count(span.count, 'sample' if track.kind == 'availability' else 'write')}"
        pieces.append(_piece(span, until, kind if kind in WORDS else "other", title, scale))
    counts = _counts(view, track, scale, top + LANE_HEIGHT)
    name = label(fit(_lane_name(track), scale.width - 2 * EDGE, BOLD), EDGE, y, font=BOLD)
    lane = Lane(name, _note(view, track, scale, name.box), top, LANE_HEIGHT, tuple(_merged(pieces)), counts)
    return lane, top + LANE_HEIGHT + (ROW if counts else 0) + 10


def _lane_name(track: ProbeTrack) -> str:
    return f"{one_line(track.name)} · every {milliseconds(track.every_s)}"


def _note(view: RunView, track: ProbeTrack, scale: Scale, name: Box) -> Label | None:
    """Return the label with the numbers of a probe's samples: the longest text that has room beside ``name`` and is not crossed by
    the line of a moment, or else the longest that has room. Return None if no text has room."""
    lines, taken = _lines(view, scale), replace(name, width=name.width + 16)
    ends = [scale.width - EDGE, *(x - 2 * GAP for x in sorted(lines, reverse=True))]
    wanted = [label(text, x, name.y, anchor="end") for text in canary_writes.notes(view, track) for x in ends]
    return first_free([taken], avoiding(wanted, lines), taken.right, scale.width - EDGE)


def _lines(view: RunView, scale: Scale) -> list[float]:
    """Return the horizontal positions of the lines of moments."""
    return [scale.x(at) for key, at in view.timeline.marks.items() if key in MARKS and scale.holds(at)]


def _counts(view: RunView, track: ProbeTrack, scale: Scale, top: float) -> tuple[Label, ...]:
    """Return labels with the number of lost writes, one below each span of losses that has room for the text."""
    placed_labels: list[Label] = []
    end, lines = view.timeline.seconds, _lines(view, scale)
    for span in _inside(track.stretches, end, scale):
        if span.label == "lost" and span.count is not None:
            until = end if span.end is None else span.end
            middle = (scale.x(span.start) + scale.x(until)) / 2
            text = f"{span.count} lost"
            wanted = [label(text, middle, top, anchor=anchor, font=BOLD) for anchor in ("middle", "start", "end")]
            placed = first_free([taken.box for taken in placed_labels], avoiding(wanted, lines), 0, scale.width)
            placed_labels += [placed] if placed else []
    return tuple(placed_labels)


def _inside(spans: Sequence[Span], end: float, scale: Scale) -> list[Span]:
    return [span for span in spans if span.start <= scale.end and (end if span.end is None else span.end) >= scale.start]


def _piece(span: Span, end: float, kind: str, title: str, scale: Scale) -> Piece:
    left, right = scale.x(span.start), scale.x(end)
    return Piece(left, max(right - left, LEAST), kind, title)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Merge adjacent pieces of the same kind, and sort the pieces so that the most important pieces are drawn last, on top."""
    order = ["good", "kept", "unproven", "unheard", "other", "refused", "bad", "lost"]
    merged: list[Piece] = []
    for piece in sorted(pieces, key=lambda candidate: (order.index(candidate.kind), candidate.x)):
        last = merged[-1] if merged else None
        if last and last.kind == piece.kind and piece.x <= last.x + last.width + 0.5:
            title = last.title if last.title.endswith("and more") else f"{last.title}, and more"
            width = max(last.x + last.width, piece.x + piece.width) - last.x
            merged[-1] = Piece(last.x, width, last.kind, title)
        else:
            merged.append(piece)
    return merged


SPANS = (
    ("outage", "first_bad", "recovered", "outage"),
    ("rto", "disruption", "recovered", "RTO"),
    ("rpo", "recovery_point", "last_acknowledged", "RPO"),
)


def _dimensions(view: RunView, scale: Scale, y: float) -> tuple[tuple[Dimension, ...], float]:
    dimensions: list[Dimension] = []
    marks = view.timeline.marks
    uncounted = {row.key for row in rows_of(view.result) if row.uncounted}
    for clock, begin, end, word in SPANS:
        figure = written(view.result, clock)
        if not figure or begin not in marks or end not in marks:
            continue
        x1, x2 = scale.x(marks[begin]), scale.x(marks[end])
        figure = f"({figure}) {DOES_NOT_COUNT}" if clock in uncounted else figure
        text = f"{word} {figure}" + (remarks.beside_loss(view.result) if clock == "rpo" else "")
        wanted = [label(text, (x1 + x2) / 2, y, anchor="middle", font=BOLD)]
        wanted = wanted if wanted[0].box.width + 24 <= x2 - x1 else []
        wanted += [label(text, x2 + 10, y, font=BOLD), label(text, x1 - 10, y, anchor="end", font=BOLD)]
        placed = first_free([], wanted, 0, scale.width)
        if placed is None:  # the label has no room beside the line, so it gets its own row above
            width = wanted[0].box.width
            left = max(EDGE, min((x1 + x2 - width) / 2, scale.width - EDGE - width))
            placed = label(text, left, y, font=BOLD)
            y += ROW
        dimensions.append(Dimension(x1, x2, y + ROW / 2, clock, placed))
        y += ROW + 4
    return tuple(dimensions), y + 4


def _ticks(scale: Scale, y: float) -> tuple[Label, ...]:
    room = scale.end - scale.start
    for step in STEPS:
        first = math.ceil(round(scale.start / step, 6))
        last = math.floor(round(scale.end / step, 6))
        if last - first > scale.width / 30:
            continue
        digits = max(0, -math.floor(math.log10(step)))
        ticks = [_tick(scale, number * step, y, digits) for number in range(first, last + 1)]
        if all(tick.box.right + 8 <= other.box.x for tick, other in pairwise(ticks)):
            return tuple(ticks)
    return (_tick(scale, scale.start + room / 2, y, 3),)


def _tick(scale: Scale, at: float, y: float, digits: int) -> Label:
    """Return the label of a tick, centred below it. A label that would leave the drawing is moved inside."""
    x, text = scale.x(at), seconds(at, digits)
    half = label(text, 0, 0, font=FONT).box.width / 2
    return label(text, max(half, min(x, scale.width - half)), y + 6, anchor="middle", font=FONT)


def _description(view: RunView) -> str:
    """Return a description of the timeline in words, for readers who cannot see the drawing."""
    line = view.timeline
    parts = [f"{seconds(line.seconds, 1)} from start to end"]
    parts += [f"{mark_name(view.result, key)} at {seconds(line.marks[key], 2)}" for key in MARKS if key in line.marks]
    parts += [f"{_lane_name(track)}: {canary_writes.notes(view, track)[0]}" for track in line.probes]
    return "; ".join(parts) + "."
