"""Questions to workers of a campaign, each with a deadline."""

import errno
import threading

import pytest

from tests.campaign.answering import Tells
from tests.campaign.test_processes import until
from tests.needs import library

library("distributed")

from drillbook.campaign import worker, worker_requests  # noqa: E402  need the library


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_question_tells_an_error_of_the_function_from_one_of_the_connection():
    assert worker.answer(full) == worker.Answer(error="OSError: [Errno 28] No space left on device")
    with pytest.raises(worker_requests.Lost, match="refused"):
        worker_requests.ask(Tells({"a": ConnectionError("refused")}), "a", worker.identify, within_s=1)
    with pytest.raises(worker_requests.Lost, match=r"no answer in 0 s"):
        worker_requests.ask(Tells({"a": None}), "a", worker.identify, within_s=0.01)


def test_the_workers_are_those_that_the_scheduler_names():
    assert set(worker_requests.workers_of(Tells({"tls://a": None, "tls://b": None}))) == {"tls://a", "tls://b"}


@pytest.fixture
def lanes():
    made = worker_requests.Lanes()
    yield made
    made.close()


def test_no_question_waits_for_another_worker_or_for_a_transfer(lanes):
    go, ended = threading.Event(), []
    for number in range(worker_requests.THREADS + 1):
        lanes.receive("a", lambda number: (go.wait(30), ended.append(number)), number)
    lanes.ask("a", ended.append, "asked")
    lanes.ask("b", ended.append, "other")
    until(lambda: set(ended) == {"asked", "other"})
    go.set()
    until(lambda: len(ended) == worker_requests.THREADS + 3)


def test_threads_of_a_worker_that_is_gone_finish_and_a_later_one_has_new_threads(lanes):
    go, ended = threading.Event(), []
    lanes.ask("a", lambda: (go.wait(30), ended.append("old")))
    lanes.forget("a")
    lanes.ask("a", ended.append, "new")
    until(lambda: ended == ["new"])
    go.set()
    until(lambda: ended == ["new", "old"])


def test_after_the_end_nothing_is_asked(lanes):
    asked = []
    lanes.close()
    lanes.ask("a", asked.append, "late")
    lanes.receive("a", asked.append, "late")
    assert (asked, lanes._pools) == ([], {})
