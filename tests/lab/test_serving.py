"""Workers of the API: each of them reports the sum of all."""

import os

from drillbook.lab.app.serving import SharedMetrics, begin


def worker(folder, pid):
    """Metrics of a worker as the process ``pid`` has them."""
    made = SharedMetrics(folder)
    made._file = folder / f"{pid}.json"
    made.begin()
    return made


def test_a_worker_reports_the_requests_of_all_workers(tmp_path):
    mine, other = SharedMetrics(tmp_path), worker(tmp_path, 1)
    mine.begin()
    mine.observe("GET", "/health", 200, 0.01)
    other.observe("GET", "/health", 200, 0.01)
    other.observe("GET", "/health", 503, 0.01)
    for metrics in (mine, other):
        assert metrics.whole().requests == {("GET", "/health", 200): 2, ("GET", "/health", 503): 1}


def test_a_worker_that_ended_is_no_worker_but_its_requests_stay(tmp_path):
    mine, gone = worker(tmp_path, os.getpid()), worker(tmp_path, 1 << 30)
    gone.observe("GET", "/health", 200, 0.01)
    assert (mine.workers(), mine.whole().requests.total()) == (1, 1)


def test_a_new_start_begins_with_empty_counters(tmp_path):
    folder = tmp_path / "workers"
    begin(folder)
    worker(folder, 1).observe("GET", "/health", 200, 0.01)
    begin(folder)
    assert list(folder.iterdir()) == []
