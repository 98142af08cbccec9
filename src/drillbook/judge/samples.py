"""Samples, acknowledged writes and timeline spans of probes, read from a journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drillbook.events.event import Event, contents
from drillbook.events.probes import CanarySurvivors, CanaryWrites, ProbeEnded, ProbeSamples, ProbeStarted
from drillbook.events.runs import ControllerStalled
from drillbook.judge.result import ProbeTrack, Span

MOST_REASONS = 3
"""Largest number of different reasons for bad samples that a finding lists."""


def enough_s(every_s: float) -> float:
    """Return the seconds without a bad sample after which the service counts as recovered.

    ``every_s``: interval of the probe in seconds.
    """
    return max(1.0, 5 * every_s)


def hole_s(every_s: float, timeout_s: float) -> float:
    """Return the longest permitted time, in seconds, between the starts of two samples. If the time is longer, the state
    between the samples counts as unknown.

    A sample may last until its timeout. The next sample then begins late. The permitted time is long enough for this.
    """
    return max(enough_s(every_s), timeout_s + 2 * every_s)


def silent_s(every_s: float, timeout_s: float) -> float:
    """Return the longest permitted time without a sample, in seconds. A probe that takes no sample for a longer time counts
    as silent, even if it was good before.
    """
    return max(enough_s(every_s) + 2.0, timeout_s + 2 * every_s)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of an availability probe, or one write of a canary. Times are seconds on the run's clock."""

    start: float
    end: float
    ok: bool
    why: str | None


def unheard(sample: Sample, timeout_s: float, stood_s: float) -> bool:
    """Return True if the sample failed by its timeout only because the controller stalled. Without the stall, it would have
    had time left.

    ``timeout_s``: timeout of the sample in seconds. ``stood_s``: number of seconds during the sample in which the controller
    stalled. A bad sample that ended before its timeout failed for another reason, so the result is False.
    """
    lasted = sample.end - sample.start
    return not sample.ok and stood_s > 0 and lasted - stood_s < timeout_s <= lasted


@dataclass(frozen=True, slots=True)
class Stalls:
    """Spans in which the controller itself stalled: it had no CPU time, or was frozen. Times are seconds on the run's clock."""

    spans: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, events: Sequence[Event]) -> Stalls:
        """Read the stalls from the events of a run. Older journals record no stalls."""
        return cls(tuple(span for what in contents(events, ControllerStalled) for span in what.spans))

    def during(self, start: float, end: float) -> float:
        """Return the seconds of stalls between ``start`` and ``end``."""
        return sum(max(0.0, min(end, last) - max(start, first)) for first, last in self.spans)


@dataclass(frozen=True, slots=True)
class Write:
    """One acknowledged write of a canary. Times are seconds on the run's clock."""

    number: int
    sent: float
    acknowledged: float


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Group sorted ``numbers`` into ranges without gaps. Each range is a pair of first and last number."""
    result: list[tuple[int, int]] = []
    for number in numbers:
        if result and number == result[-1][1] + 1:
            result[-1] = (result[-1][0], number)
        else:
            result.append((number, number))
    return result


class Numbers:
    """Set of write numbers of a canary, stored as ranges."""

    def __init__(self, ranges: Iterable[Sequence[int]]) -> None:
        """Make the set. ``ranges`` are sorted pairs of first and last number."""
        self._ranges = [(first, last) for first, last in ranges]

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self._ranges)


@dataclass(frozen=True, slots=True)
class CanaryRecord:
    """Writes of one canary (a probe that writes numbered rows).

    ``survivors``: the numbers that were read back. It is None if they could not be read.
    """

    probe: str
    every: float
    acknowledged: tuple[Write, ...]
    refused: tuple[Sample, ...]
    """Writes that were not acknowledged. Older journals record only the time at which such a write was sent."""
    unheard: tuple[Sample, ...]
    """Writes whose acknowledgements the controller could not receive, because it stalled."""
    survivors: Numbers | None
    error: str | None
    tried: tuple[int, ...] = ()
    """Numbers of all writes that were sent, in order. A number that is missing was never sent, because the canary was late."""

    @property
    def samples(self) -> list[Sample]:
        """Return the canary's writes as samples like those of an availability probe, in the order in which they were sent."""
        good = [Sample(write.sent, write.acknowledged, ok=True, why=None) for write in self.acknowledged]
        return sorted([*good, *self.refused], key=lambda sample: sample.start)


def _started(events: Sequence[Event], kind: str) -> dict[str, ProbeStarted]:
    return {what.probe: what for what in contents(events, ProbeStarted) if what.kind == kind}


def samples_of(events: Sequence[Event]) -> dict[str, list[Sample]]:
    """Return the samples of every availability probe, in the order of their start.

    A sample is left out when the controller stalled and so could not receive its answer.
    """
    missed = unheard_of(events)
    return {
        probe: [sample for sample in samples if sample not in missed[probe]] for probe, samples in _asked(events).items()
    }


def unheard_of(events: Sequence[Event]) -> dict[str, list[Sample]]:
    """Return, for every availability probe, the samples whose answers the stalled controller could not receive.

    These samples count as neither good nor bad.
    """
    stalls, started = Stalls.of(events), _started(events, "availability")
    return {probe: _unheard(samples, started[probe], stalls) for probe, samples in _asked(events).items()}


def _unheard(samples: Iterable[Sample], started: ProbeStarted, stalls: Stalls) -> list[Sample]:
    return [
        sample
        for sample in samples
        if stalls.spans and not sample.ok and unheard(sample, started.timeout_s, stalls.during(sample.start, sample.end))
    ]


def _asked(events: Sequence[Event]) -> dict[str, list[Sample]]:
    """Return all samples of every availability probe, in the order of their start. Samples that failed only because the
    controller stalled are included.
    """
    samples_by_probe: dict[str, list[Sample]] = {probe: [] for probe in _started(events, "availability")}
    for what in contents(events, ProbeSamples):
        samples_by_probe[what.probe] += [Sample(*sample) for sample in what.samples]
    return {probe: sorted(samples, key=lambda s: s.start) for probe, samples in samples_by_probe.items()}


def canaries(events: Sequence[Event]) -> list[CanaryRecord]:
    """Return the writes of every canary of the run, and the numbers of the writes that survived."""
    return [_canary(probe, started, events) for probe, started in _started(events, "canary").items()]


def _canary(probe: str, started: ProbeStarted, events: Sequence[Event]) -> CanaryRecord:
    acknowledged: list[Write] = []
    refused: list[Sample] = []
    tried: set[int] = set()
    survivors, error = None, None
    for event in events:
        match event.what:
            case CanaryWrites(probe=name) as what if name == probe:
                acknowledged += [Write(*write) for write in what.acknowledged]
                tried |= {write[0] for write in (*what.acknowledged, *what.in_doubt, *what.lost)}
                refused += [
                    Sample(write[1], write[3] if len(write) > 3 else write[1], ok=False, why=write[2])
                    for write in (*what.in_doubt, *what.lost)
                ]
            case CanarySurvivors(probe=name) as what if name == probe:
                error = what.error or None
                survivors = None if error else Numbers(what.ranges or ())
    acknowledged.sort(key=lambda write: write.number)
    refused.sort(key=lambda sample: sample.start)
    missed = _unheard(refused, started, Stalls.of(events))
    return CanaryRecord(
        probe,
        started.every_s,
        tuple(acknowledged),
        tuple(sample for sample in refused if sample not in missed),
        tuple(missed),
        survivors,
        error,
        tuple(sorted(tried)),
    )


def last_written(events: Iterable[Event], probe: str) -> int:
    """Return the highest number in ``events`` that a canary tried to write. Return 0 if ``events`` contain no such number."""
    writes = [what for what in contents(events, CanaryWrites) if what.probe == probe]
    return max((write[0] for what in writes for write in (*what.acknowledged, *what.in_doubt, *what.lost)), default=0)


def last_reasons(events: Sequence[Event], probe: str) -> str:
    """Return a text with the reasons for the last bad samples of a probe, and with the number of bad samples.

    Example: ``40 of 40 samples bad, the last: answered 404``.
    """
    bad: list[tuple[float, str]] = []
    total = 0
    for event in events:
        match event.what:
            case ProbeSamples(probe=name) as what if name == probe:
                total += len(what.samples)
                bad += [(sample[1], sample[3] or "no reason given") for sample in what.samples if not sample[2]]
            case CanaryWrites(probe=name) as what if name == probe:
                refused = [*what.in_doubt, *what.lost]
                total += len(refused) + len(what.acknowledged)
                bad += [(write[1], write[2] or "no reason given") for write in refused]
    reasons = list(dict.fromkeys(why for _, why in sorted(bad, reverse=True)))[:MOST_REASONS]
    if not total:
        return "the probe took no sample"
    return f"{len(bad)} of {total} samples bad, the last: " + "; before it: ".join(reasons) if reasons else ""


def probe_tracks(events: Sequence[Event]) -> tuple[ProbeTrack, ...]:
    """Return the observations of all probes, for the timeline."""
    ended = {what.probe: what.error for what in contents(events, ProbeEnded)}
    late: dict[str, int] = {}
    for what in contents(events, ProbeSamples):
        late[what.probe] = late.get(what.probe, 0) + what.late
    heard, missed = samples_of(events), unheard_of(events)
    tracks = [
        _availability_track(begun, heard[probe], missed[probe], late.get(probe, 0), ended.get(probe))
        for probe, begun in _started(events, "availability").items()
    ]
    started = _started(events, "canary")
    return (*tracks, *(_canary_track(started[record.probe], record, ended.get(record.probe)) for record in canaries(events)))


def _availability_track(
    begun: ProbeStarted, samples: Sequence[Sample], missed: Sequence[Sample], late: int, error: str | None
) -> ProbeTrack:
    points = sorted(
        [
            *((sample.start, sample.end, "good" if sample.ok else "bad") for sample in samples),
            *((sample.start, sample.end, "unheard") for sample in missed),
        ]
    )
    latencies = sorted(sample.end - sample.start for sample in samples if sample.ok)
    return ProbeTrack(
        probe=begun.probe,
        name=begun.name,
        kind="availability",
        every_s=begun.every_s,
        timeout_s=begun.timeout_s,
        samples=len(points),
        bad=sum(not sample.ok for sample in samples),
        late=late,
        stretches=_stretches(points),
        latency_p50_s=_quantile(latencies, 0.5),
        latency_p99_s=_quantile(latencies, 0.99),
        error=error,
    )


def _canary_track(begun: ProbeStarted, record: CanaryRecord, error: str | None) -> ProbeTrack:
    known = record.survivors
    points = [
        (write.sent, write.acknowledged, "unproven" if known is None else "kept" if write.number in known else "lost")
        for write in record.acknowledged
    ]
    points += [(sample.start, sample.start, "refused") for sample in record.refused]
    points += [(sample.start, sample.start, "unheard") for sample in record.unheard]
    latencies = sorted(write.acknowledged - write.sent for write in record.acknowledged)
    return ProbeTrack(
        probe=begun.probe,
        name=begun.name,
        kind="canary",
        every_s=begun.every_s,
        timeout_s=begun.timeout_s,
        samples=len(points),
        bad=len(record.refused),
        late=0,
        stretches=_stretches(sorted(points)),
        latency_p50_s=_quantile(latencies, 0.5),
        latency_p99_s=_quantile(latencies, 0.99),
        error=error or record.error,
    )


def _stretches(points: Sequence[tuple[float, float, str]]) -> tuple[Span, ...]:
    """Merge consecutive samples (start, end, label) with equal labels into spans. Each span ends when the next span begins."""
    spans: list[tuple[float, float, str, int]] = []
    for start, end, label in points:
        if spans and spans[-1][2] == label:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end), label, spans[-1][3] + 1)
        else:
            if spans:
                spans[-1] = (spans[-1][0], start, spans[-1][2], spans[-1][3])
            spans.append((start, end, label, 1))
    return tuple(Span(start=start, end=end, label=label, count=count) for start, end, label, count in spans)


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Return the quantile ``share`` (0 to 1) of the sorted ``values``, without interpolation. Returns None when there
    are no values.
    """
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
