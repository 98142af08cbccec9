"""Runs probes during a drill. They take samples at a fixed rate. The samples are journalled with their times on the run's
clock.

An availability sample never waits for the previous sample. So a service that hangs causes many bad samples, not one long
pause. A canary numbers its writes by their places in the schedule, so the number of a write also tells when the write was
due.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from drillbook.engine.pauses import Pulse
from drillbook.errors import JournalError
from drillbook.events.probes import (
    CanarySurvivors,
    CanaryWrites,
    ProbeEnded,
    ProbePrepared,
    ProbeSamples,
    ProbeStarted,
    SettleEnded,
    SettleStarted,
)
from drillbook.journal.journal import Journal
from drillbook.judge.samples import Sample, enough_s, hole_s, ranges, unheard
from drillbook.sdk.action import Context
from drillbook.sdk.probe import Availability, Canary, CanaryWriter, Lost
from drillbook.sdk.web import traced

FLUSH_S = 0.5
WORKERS = 32
SETTLE_LIMIT_S = 60.0
"""Longest time, in seconds, to wait until a probe has been good for long enough."""


class _Track:
    """Base class of running probes. It has a thread for the schedule, a buffer of samples, and a thread that journals the
    buffer.
    """

    def __init__(self, probe_id: str, every: float, timeout: float, probes: Probes) -> None:
        self.id, self.every, self.timeout, self.journal, self.beat = probe_id, every, timeout, probes.journal, probes.beat
        self.pulse = probes.pulse
        self._hole = hole_s(every, timeout)
        self.halt = threading.Event()
        self.error: str | None = None
        self._last_bad = -math.inf
        self._first_good: float | None = None
        self._last_good = -math.inf
        self._last_begun = -math.inf
        self._under_way: list[float] = []
        self._threads = [
            threading.Thread(target=work, name=f"{probe_id}-{work.__name__}", daemon=True)
            for work in (self._keep_schedule, self._flush_often)
        ]

    def start(self) -> None:
        """Start the probe on its schedule. An availability probe then takes samples, and a canary writes numbered rows."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the probe and journal the remaining samples. It is safe to call this twice."""
        if self.halt.is_set():
            return
        self.halt.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._drain()
        self.flush()
        self.journal.append(ProbeEnded(probe=self.id, error=self.error))

    def _begins(self) -> float:
        """Record that a sample begins. Return its time on the run's clock."""
        start = time.monotonic() - self.journal.origin
        with self.beat:
            self._under_way.append(start)
        return start

    def _saw(self, *, good: bool, start: float, end: float) -> None:
        """Record the result of a sample.

        A failure is ignored when a stall of the controller may explain it.
        """
        told = not unheard(Sample(start, end, good, None), self.timeout, self.pulse.stood(start, end))
        with self.beat:
            self._under_way.remove(start)
            if not told:
                pass
            elif good and start > self._last_bad:
                if self._first_good is None or start - self._last_begun > self._hole:
                    self._first_good = start
                self._last_good = max(self._last_good, end)
                self._last_begun = max(self._last_begun, start)
            elif not good:
                self._last_bad = max(self._last_bad, end)
                self._first_good = None
            self.beat.notify_all()

    def good_for(self, seconds: float, since: float = -math.inf) -> bool:
        """Return True when the probe had neither a failure nor a gap for the last ``seconds``.

        At least one good sample must have begun after the time ``since``.
        """
        with self.beat:
            return (
                self._first_good is not None and self._last_begun > since and self._last_good - self._first_good >= seconds
            )

    def bad_since(self, clock: float) -> bool:
        """Return True when at least one bad sample ended after the time ``clock``."""
        with self.beat:
            return self._last_bad > clock

    def answered(self, clock: float) -> bool:
        """Return True when every sample that began before the time ``clock`` has ended.

        The caller needs this because a sample that still hangs may turn out bad.
        """
        with self.beat:
            return not any(start < clock for start in self._under_way)

    def _keep_schedule(self) -> None:
        try:
            self._schedule()
        except Exception as error:  # noqa: BLE001  the error is journalled, so that a dead probe is not mistaken for silence
            self.error = f"{type(error).__name__}: {error}"

    def _schedule(self) -> None:
        raise NotImplementedError

    def _drain(self) -> None:
        """Wait for the samples in progress to end."""

    def flush(self) -> None:
        raise NotImplementedError

    def _flush_often(self) -> None:
        while not self.halt.wait(FLUSH_S):
            try:
                self.flush()
            # raised only before a fault; the run then ends, and the probe reports the error
            except JournalError as error:
                self.error = self.error or error.message

    def _slots(self) -> Iterable[tuple[int, float]]:
        """Wait for each point in time of the schedule. Then yield its number in the schedule, and the time itself.

        Points in time that have already passed are skipped.
        """
        begin, number = time.monotonic(), 0
        while not self.halt.is_set():
            number = max(number + 1, math.floor((time.monotonic() - begin) / self.every))
            due = begin + number * self.every
            if self.halt.wait(max(0.0, due - time.monotonic())):
                return
            yield number, due


class AvailabilityTrack(_Track):
    """A running availability probe. It takes samples of the service on a schedule."""

    def __init__(self, probe_id: str, probe: Availability, context: Context, probes: Probes) -> None:
        """Prepare the probe; ``start`` begins its schedule."""
        super().__init__(probe_id, float(probe.every), float(probe.timeout), probes)
        self.probe, self.context = probe, context
        self._samples: list[tuple[float, float, bool, str | None]] = []
        self._late = 0
        self._lock = threading.Lock()
        workers = min(WORKERS, math.ceil(float(probe.timeout) / self.every) + 2)
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=probe_id)

    def _schedule(self) -> None:
        for _, due in self._slots():
            self._pool.submit(self._sample, due)

    def _sample(self, due: float) -> None:
        start = self._begins()
        try:
            with traced(self.context.traceparent):
                why = self.probe.check(self.context)
        except Exception as error:  # noqa: BLE001  any error of a probe is a bad sample
            why = f"{type(error).__name__}: {error}"
        end = time.monotonic() - self.journal.origin
        with self._lock:
            self._samples.append((round(start, 6), round(end, 6), why is None, why))
            self._late += start + self.journal.origin - due > self.every
        self._saw(good=why is None, start=start, end=end)

    def _drain(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def flush(self) -> None:
        """Journal the samples since the last flush."""
        with self._lock:
            samples, self._samples = self._samples, []
            late, self._late = self._late, 0
        if samples:
            self.journal.append(ProbeSamples(probe=self.id, samples=tuple(sorted(samples)), late=late))


@dataclass(slots=True)
class _Kept:
    """Writes of a canary that are not journalled yet. This buffer has the same fields as the event ``CanaryWrites``."""

    acknowledged: list[tuple[int, float, float]] = field(default_factory=list)
    in_doubt: list[tuple[int, float, str, float]] = field(default_factory=list)
    lost: list[tuple[int, float, str, float]] = field(default_factory=list)


class CanaryTrack(_Track):
    """A running canary: a probe that writes numbered rows on a schedule, to measure lost writes."""

    def __init__(self, probe_id: str, probe: Canary, context: Context, probes: Probes) -> None:
        """Prepare the canary; ``start`` begins its schedule."""
        super().__init__(probe_id, float(probe.every), float(probe.timeout), probes)
        self.probe, self.context = probe, context
        self._lock = threading.Lock()
        self._kept = _Kept()
        self.written = 0
        """Highest number that the canary tried to write."""

    def _schedule(self) -> None:
        writer = self.probe.writer(self.context)
        try:
            for number, _ in self._slots():
                self._write(writer, number)
        finally:
            writer.close()

    def _write(self, writer: CanaryWriter, number: int) -> None:
        sent = self._begins()
        self.written = number
        try:
            lost = writer.write(number)
        except Exception as error:  # noqa: BLE001  not acknowledged, but the write may have happened
            lost = Lost(f"{type(error).__name__}: {error}", doubt=True)
        end = time.monotonic() - self.journal.origin
        with self._lock:
            if lost is None:
                self._kept.acknowledged.append((number, round(sent, 6), round(end, 6)))
            else:
                rows = self._kept.in_doubt if lost.doubt else self._kept.lost
                rows.append((number, round(sent, 6), lost.reason, round(end, 6)))
        self._saw(good=lost is None, start=sent, end=end)

    def flush(self) -> None:
        """Journal the writes since the last flush."""
        with self._lock:
            kept, self._kept = self._kept, _Kept()
        if kept.acknowledged or kept.in_doubt or kept.lost:
            self.journal.append(
                CanaryWrites(
                    probe=self.id,
                    acknowledged=tuple(kept.acknowledged),
                    in_doubt=tuple(kept.in_doubt),
                    lost=tuple(kept.lost),
                )
            )

    def read_back(self, context: Context) -> None:
        """Read the canary's rows from the service, and journal their numbers. An acknowledged write was lost if its number
        is missing.
        """
        read_back(self.journal, self.id, self.probe, replace(context, written=self.written))


def read_back(journal: Journal, probe_id: str, probe: Canary, context: Context) -> None:
    """Read a canary's rows from the service, and journal their numbers.

    A recovery calls this for a run that died.
    """
    try:
        numbers = sorted(probe.survivors(context))
        journal.append(CanarySurvivors(probe=probe_id, ranges=tuple(ranges(numbers)), count=len(numbers)))
    except Exception as error:  # noqa: BLE001  after any error of the driver the loss is unknown
        journal.append(CanarySurvivors(probe=probe_id, error=str(error)))


Track = AvailabilityTrack | CanaryTrack
"""A running probe: an availability probe or a canary."""


class Probes:
    """All probes of a run."""

    def __init__(self, journal: Journal) -> None:
        """Start with no probes. ``journal``: records the samples of the probes."""
        self.journal = journal
        self.beat = threading.Condition()
        self.pulse = Pulse(journal)
        self.availability: list[AvailabilityTrack] = []
        self.canaries: list[CanaryTrack] = []

    def add(self, probe_id: str, probe: Availability | Canary, context: Context) -> None:
        """Prepare a probe and start it. Raises NotReady when a canary cannot create its table."""
        track: Track
        self.pulse.start()
        if isinstance(probe, Canary):
            track = CanaryTrack(probe_id, probe, context, self)
            probe.reach(context)
            self.journal.append(ProbePrepared(probe=probe_id), sync=True)
            self.canaries.append(track)
            probe.prepare(context)
        else:
            track = AvailabilityTrack(probe_id, probe, context, self)
            self.availability.append(track)
        self.journal.append(
            ProbeStarted(
                probe=probe_id,
                name=probe.name(),
                kind=probe.KIND,
                every_s=float(probe.every),
                timeout_s=float(probe.timeout),
            )
        )
        track.start()

    def all(self) -> list[Track]:
        """Return all probes that were started."""
        return [*self.availability, *self.canaries]

    def wait(self, ready: Callable[[], bool], seconds: float, cancel: threading.Event) -> bool:
        """Call ``ready()`` after each sample until it returns True, and then return True.

        Returns False at the time limit, or when ``cancel`` is set.
        """
        until = time.monotonic() + seconds
        with self.beat:
            while not ready():
                if cancel.is_set() or time.monotonic() >= until:
                    return False
                self.beat.wait(min(0.25, max(0.0, until - time.monotonic())))
        return True

    def settle(self, tracks: Sequence[Track], cancel: threading.Event, after: str, since: float = -math.inf) -> None:
        """Wait until each probe in ``tracks`` was good for long enough. Then wait until all these probes are good at
        the same time.

        The second wait is needed because a probe may fail again during the first wait. The second wait also includes the
        samples in progress, because a sample that hangs may turn out bad. The outcome is journalled. ``after``: the part of the
        run before the waits, such as `verify`.
        """
        begun = self.journal.append(SettleStarted(after=after)).clock
        waits = [partial(track.good_for, enough_s(track.every), since) for track in tracks]
        good = all(self.wait(good, SETTLE_LIMIT_S, cancel) for good in waits) and self.wait(
            self._at_once(tracks, waits), SETTLE_LIMIT_S, cancel
        )
        self.journal.append(
            SettleEnded(
                after=after,
                good=good,
                interrupted=not good and cancel.is_set(),
                seconds=round(self.journal.clock() - begun, 6),
            )
        )

    def _at_once(self, tracks: Sequence[Track], waits: Sequence[Callable[[], bool]]) -> Callable[[], bool]:
        """Return a function that ``wait`` calls repeatedly. The function returns True when all probes are good at the same
        time, and the samples in progress at that time have ended. The second condition is needed because such a sample may
        turn out bad.
        """
        since: float | None = None

        def settled() -> bool:
            nonlocal since
            if not all(good() for good in waits):
                since = None
                return False
            since = self.journal.clock() if since is None else since
            return all(track.answered(since) for track in tracks)

        return settled

    def stop(self) -> None:
        """Stop all probes of the run."""
        for track in self.all():
            track.stop()
        self.pulse.stop()
