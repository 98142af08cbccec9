"""The outage that one probe measured. It lasts from the first bad sample to the first good sample after which the service
stayed good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drillbook.judge.samples import Sample, enough_s, hole_s, silent_s


@dataclass(frozen=True, slots=True, order=True)
class Bad:
    """Start and end of a bad sample.

    ``before``: start of the last good sample before this bad sample.
    """

    start: float
    end: float
    before: float


@dataclass(frozen=True, slots=True)
class Outage:
    """Measurements of one probe over the time in which the service was bad."""

    probe: str
    first_bad: Bad
    last_bad: Sample
    recovered: Sample | None
    earlier: str
    """Evidence that the service was bad before the disruption. It is empty if there is no such evidence."""
    blind: str
    """Reason why the time of the recovery is unknown. It is empty when that time is known."""

    @property
    def left_bad(self) -> bool:
        """True when it is known that the service had not recovered by the end of the verification."""
        return self.recovered is None and not self.blind


@dataclass(frozen=True, slots=True)
class Look:
    """Evaluates the samples of one probe.

    The fields are the settings of the probe, the times ``limit`` and ``cleaned``, and the samples to ignore. A sample that
    begins after ``limit`` or ``cleaned`` cannot end the outage. All times are in seconds on the run's clock.
    """

    probe: str
    every: float
    timeout: float
    limit: float
    """Time at which the verification ended."""
    cleaned: float
    """Time at which the cleanup or the undo began. From then on, the drill itself may interrupt the service."""
    unheard: Sequence[Sample]
    """Samples that are ignored, because the controller itself stalled during them."""

    @property
    def enough(self) -> float:
        """Time in seconds that good samples must cover to count as a recovery. It is one sampling interval shorter than the
        time for which the runner waits during the run, so that the samples of the whole wait suffice.
        """
        return enough_s(self.every) - self.every

    def silent(self, samples: Sequence[Sample], disruption: float) -> bool:
        """Return True when the probe stopped sampling long before ``limit``. The service's state at ``limit`` is then
        unknown.
        """
        after = [sample.end for sample in samples if sample.end >= disruption]
        return not after or self.limit - max(after) > enough_s(self.every) + 2.0

    def left_bad(self, samples: Sequence[Sample]) -> Sample | None:
        """Return the last bad sample since the cleanup or undo began.

        Return None if there is no such sample, or if enough good samples follow it.
        """
        bad = [sample for sample in samples if not sample.ok and sample.end >= self.cleaned]
        if not bad:
            return None
        last = max(bad, key=lambda sample: sample.start)
        good = [sample for sample in samples if sample.ok and sample.start > last.start]
        lasted = max((sample.end for sample in good), default=0.0) - min((sample.start for sample in good), default=0.0)
        return last if lasted < self.enough else None

    def outage(self, all_of_it: Sequence[Sample], disruption: float) -> Outage | None:
        """Return the outage after the time ``disruption``. Return None when there are no bad samples.

        A bad sample that was in progress at ``disruption`` belongs to the outage. The recovery is the first good sample after
        the last bad sample. It counts only if it ends before ``limit``, and if enough good samples follow. Samples are used
        only until the cleanup or the undo begins: a bad sample must end before this moment, and a good sample must start
        before it.
        """
        samples = [
            sample for sample in all_of_it if sample.end < self.cleaned or (sample.ok and sample.start < self.cleaned)
        ]
        bad = [sample for sample in samples if not sample.ok and sample.end >= disruption]
        if not bad:
            return None
        first, last = min(bad, key=lambda s: s.end), max(bad, key=lambda s: s.start)
        good = [sample for sample in samples if sample.ok and sample.start > last.start]
        recovered, blind = min(good, key=lambda s: s.end, default=None), ""
        if recovered is None or recovered.end > self.limit or max(s.end for s in good) - recovered.start < self.enough:
            recovered, blind = None, self._unwatched(last)
        else:
            again = self._after_holes(good)
            if again.end > self.limit:
                hole = max(sample.end for sample in good if sample.start < again.start)
                blind = f"took no samples from {hole:.3f} s to {again.start:.3f} s"
            recovered = again
        start = max(first.start, disruption)
        before = max((s.start for s in samples if s.ok and s.start < first.start), default=disruption)
        return Outage(
            self.probe,
            Bad(start, first.end, min(before, start)),
            last,
            recovered,
            self._earlier(samples, first, disruption),
            blind,
        )

    def _after_holes(self, good: Sequence[Sample]) -> Sample:
        """Return the first good sample after the last long gap between two samples in ``good``. Without a long gap, return
        the first sample.

        The service may have been bad during a long gap, so samples before the gap do not prove a recovery. A gap is long
        when it exceeds a limit. Usually, the limit is ``hole_s``. It is ``silent_s``, which is not shorter, if the good
        samples before the gap already lasted long enough to prove a recovery.
        """
        begin = good[0]
        for sample, following in pairwise(good):
            hole = min(following.start, self.limit) - sample.start
            lasted = sample.end - begin.start >= self.enough
            if hole > (silent_s if lasted else hole_s)(self.every, self.timeout):
                begin = following
        return min((sample for sample in good if sample.start >= begin.start), key=lambda sample: sample.end)

    def _unwatched(self, last: Sample) -> str:
        """Return a text which says that the controller stalled and missed samples after the last bad sample. It is then unknown
        if the service recovered. The result is empty when no sample was missed.
        """
        missed = [sample for sample in self.unheard if last.start < sample.start < self.limit]
        return f"was not measured from {missed[0].start:.3f} s on, because the controller itself stalled" if missed else ""

    def _earlier(self, samples: Sequence[Sample], first: Sample, disruption: float) -> str:
        """Return a reason to doubt that the fault caused the outage: the probe was bad right before the fault, or took no
        samples right before it. The result is empty if there is no such reason.
        """
        good = max((s for s in samples if s.ok and s.start < first.start), key=lambda s: s.start, default=None)
        bad = [s for s in samples if not s.ok and s.end < disruption and (good is None or s.start > good.start)]
        if bad:
            why = f": {bad[0].why}" if bad[0].why else ""
            return f"the probe was bad from {bad[0].start:.3f} s on, {disruption - bad[0].start:.3f} s before the fault{why}"
        if good is not None and disruption - good.end > hole_s(self.every, self.timeout):
            return f"the probe took no sample in the last {disruption - good.end:.3f} s before the fault"
        return ""
