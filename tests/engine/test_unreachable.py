"""Work on a host that does not answer is repeated until it answers, the time is over, or the run is stopped."""

import threading

import pytest

from drillbook.engine import unreachable
from drillbook.engine.unreachable import patiently
from drillbook.errors import CommandTimedOut, HostError, HostUnreachable
from drillbook.sdk.host import Deadline


class Away:
    """Work whose host is away for the first ``times`` calls."""

    def __init__(self, times, error):
        self.times, self.error, self.calls = times, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "done"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(unreachable, "AGAIN_S", 0.01)


@pytest.mark.parametrize("error", [HostUnreachable("a: away", host="a"), CommandTimedOut("a: no answer", host="a")])
def test_a_host_that_is_away_for_a_while_is_tried_again(error):
    work = Away(3, error)
    assert patiently(work, Deadline.after(60)) == "done"
    assert work.calls == 4


@pytest.mark.parametrize("reach", [None, Deadline.after(0)], ids=["no patience", "time is over"])
def test_without_time_left_the_error_is_raised_at_once(reach):
    work = Away(1, HostUnreachable("a: away", host="a"))
    with pytest.raises(HostUnreachable):
        patiently(work, reach)
    assert work.calls == 1


def test_another_error_is_not_repeated():
    work = Away(1, HostError("a: the disk is full", host="a"))
    with pytest.raises(HostError, match="disk is full"):
        patiently(work, Deadline.after(60))
    assert work.calls == 1


def test_a_stop_ends_the_wait():
    stop = threading.Event()
    stop.set()
    work = Away(1, HostUnreachable("a: away", host="a"))
    with pytest.raises(HostUnreachable):
        patiently(work, Deadline.after(60, stop))
    assert work.calls == 1
