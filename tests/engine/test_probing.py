"""Probes on a real server: samples in the journal, when a probe counts as good, and what a broken probe leaves."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drillbook.engine.probing import Probes
from drillbook.journal.journal import read
from drillbook.systems.http.probes.http.available import Available
from tests.machine.small import Small
from tests.waiting import until


class Web:
    """Server that answers with ``status``."""

    def __init__(self):
        web = self
        self.status = 200

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(web.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def web():
    web = Web()
    yield web
    web.server.shutdown()
    web.server.server_close()


@pytest.fixture
def place(tmp_path):
    small = Small(tmp_path)
    stage = small.stage(small.plan("restore:\n  - command.run: {argv: [look], effect: read}\n    hosts: a\n"))
    stage.journal.origin = time.monotonic()
    probes = Probes(stage.journal)
    yield small, probes, stage.context("restore.1", "a", stage.deadline(60))
    probes.stop()
    stage.journal.close()


def watched(place, web):
    _, probes, context = place
    probes.add("probe.1", Available.model_validate({"url": web.url, "every": "200ms", "timeout": "5s"}), context)
    (track,) = probes.all()
    return probes, track


def events(place, kind):
    return [event.data for event in read(place[0].folder / "journal.jsonl").events if event.kind == kind]


def test_a_probe_is_good_after_a_while_bad_with_the_server_and_its_samples_are_kept(place, web):
    probes, track = watched(place, web)
    assert probes.wait(lambda: track.good_for(0.2), 60, threading.Event())
    web.status = 503
    clock = probes.journal.clock()
    until(lambda: track.bad_since(clock))
    assert not track.good_for(0)
    web.status = 200
    back = probes.journal.clock()
    assert probes.wait(lambda: track.good_for(0.2, since=back), 60, threading.Event())
    probes.stop()
    samples = [sample for data in events(place, "probe.samples") for sample in data["samples"]]
    outcomes = [good for _, _, good, _ in samples]
    assert outcomes[0] is outcomes[-1] is True
    assert False in outcomes
    assert {"503" in why for *_, good, why in samples if not good} == {True}
    assert events(place, "probe.ended") == [{"probe": "probe.1", "error": None}]


def test_the_probes_have_settled_once_each_was_good_for_long_enough(place, web):
    probes, track = watched(place, web)
    probes.settle([track], threading.Event(), "verify")
    ((data),) = events(place, "settle.ended")
    assert (data["after"], data["good"], data["interrupted"]) == ("verify", True, False)


def test_a_stop_ends_the_wait_for_a_bad_probe(place, web):
    web.status = 503
    probes, track = watched(place, web)
    cancel = threading.Event()
    cancel.set()
    probes.settle([track], cancel, "verify")
    (data,) = events(place, "settle.ended")
    assert (data["good"], data["interrupted"]) == (False, True)


def test_a_probe_that_breaks_says_so_at_its_end(place, web):
    probes, track = watched(place, web)
    until(lambda: track.good_for(0))
    track._pool.shutdown()  # the schedule can submit no sample any more
    until(lambda: track.error)
    probes.stop()
    (data,) = events(place, "probe.ended")
    assert data["error"].startswith("RuntimeError: cannot schedule new futures")
