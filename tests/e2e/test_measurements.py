"""RPO and RTO compared with independent measurements of the test, on the real lab."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from drillbook.judge.result import Verdict


class IndependentClock(threading.Thread):
    """Requests /health every 5 ms over a plain socket and records the result; shares no code with Drillbook."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.samples, self.halt = port, [], threading.Event()

    def run(self):
        while not self.halt.is_set():
            start = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.settimeout(1)
                    connection.sendall(b"GET /health HTTP/1.0\r\nHost: x\r\n\r\n")
                    good = connection.recv(64).split(b" ")[1] == b"200"
            except (OSError, IndexError):
                good = False
            self.samples.append((start, time.monotonic(), good))
            self.halt.wait(0.005)

    def recovered(self) -> tuple[float, float]:
        """The last failure and the first success after it, between which the service recovered for good."""
        last_bad = max(start for start, _, good in self.samples if not good)
        return last_bad, min(end for start, end, good in self.samples if good and start > last_bad)


class Witness:
    """Observer that records the time of events, and reads the canary's table itself."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.injected_at = 0.0
        self.run = ""
        self.before: set[int] = set()
        self.after: set[int] = set()

    def numbers(self) -> set[int]:
        with self.bench.admin() as connection:
            query = "SELECT number FROM drillbook.canary WHERE run = %s"
            return {row[0] for row in connection.execute(query, (self.run,))}

    def __call__(self, event):
        if event.kind == "run.started":
            self.run = event.data["run"]
        elif event.kind == "intent" and event.step.startswith("inject"):
            self.before = self.numbers()
            self.injected_at = time.monotonic()
        elif event.kind == "canary.survivors":
            self.after = self.numbers()


@pytest.fixture
def clock(bench):
    thread = IndependentClock(int(bench.value("api.url").rsplit(":", 1)[1]))
    thread.start()
    yield thread
    thread.halt.set()
    thread.join()


def numbers_of(objective) -> set[int]:
    return {number for first, last in objective.lost_numbers for number in range(first, last + 1)}


def test_postgres_lost_measures_what_independent_eyes_see(bench, clock):
    witness = Witness(bench)
    folder, view = bench.run(bench.plan("postgres-lost"), witness)
    result = view.result
    assert result.verdict is Verdict.PASSED, result.reason
    rpo = result.objectives["rpo"]
    lost = numbers_of(rpo)
    gone = witness.before - witness.after
    assert gone, "a dump loses what was written after it"
    assert {number for number in lost if number <= max(witness.before)} == gone
    assert len(lost) == rpo.lost_writes
    # Twenty a second for the ten seconds between the observer's reading and the death of the server, on any machine.
    assert len(lost - gone) <= 200, "only writes between the witness's look and the death of the server can be more"
    assert not lost & witness.after
    span = (max(lost) - min(lost) + 1) * 0.05  # numbers follow the schedule; a busy machine skips some of them
    assert rpo.measured_s == pytest.approx(span, abs=rpo.error_s + 0.3)
    first, last = (moment - witness.injected_at for moment in clock.recovered())
    assert result.clocks["rto_s"] - result.clocks["rto_error_s"] - 0.02 <= last
    assert first <= result.clocks["rto_s"] + 0.02
    assert json.loads((folder / "result.json").read_text())["objectives"]["rpo"]["lost_writes"] == len(lost)


def test_api_down_loses_nothing_and_is_back_when_it_says(bench, clock):
    witness = Witness(bench)
    _, view = bench.run(bench.plan("api-down"), witness)
    result = view.result
    assert result.verdict is Verdict.PASSED, result.reason
    assert result.objectives["rpo"].lost_writes == 0
    assert witness.before <= witness.after
    first, last = (moment - witness.injected_at for moment in clock.recovered())
    assert result.clocks["rto_s"] - result.clocks["rto_error_s"] - 0.02 <= last
    assert first <= result.clocks["rto_s"] + 0.02
