"""The kept part of a command's output, and the marker in it."""

import io

import pytest

from drillbook.hosts.capture import NOISE, Capture, MarkedCapture


def test_the_beginning_is_kept_and_all_is_counted():
    capture = Capture(5)
    for piece in (b"abc", b"def", b"ghi"):
        capture.feed(piece)
    assert (capture.kept, capture.total) == (b"abcde", 9)


def test_a_sink_gets_pieces_of_a_quarter_mebibyte():
    pieces = []

    class Sink(io.RawIOBase):
        def write(self, data):
            pieces.append(len(data))

    capture = Capture(5, Sink())
    capture.feed(bytes(600_000))
    assert pieces == [262_144, 262_144, 75_712]
    assert (capture.kept, capture.total) == (b"", 600_000)


@pytest.mark.parametrize("before", [b"", b"warning: locale\n", b"no line end "])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_marker_is_taken_out(before, step):
    stream = before + b"mark-123 /bin/bash\n" + b"out mark-9\n\xff"
    capture = MarkedCapture(100, "mark-")
    for start in range(0, len(stream), step):
        capture.feed(stream[start : start + step])
    assert (capture.pid, capture.shell) == (123, "/bin/bash")
    assert capture.kept == before + b"out mark-9\n\xff"
    assert capture.total == len(capture.kept)


def test_a_marker_that_never_comes():
    capture = MarkedCapture(100, "mark-")
    capture.feed(b"fish: no such thing")
    assert capture.kept == b""
    capture.flush()
    assert (capture.kept, capture.pid) == (b"fish: no such thing", None)


def test_noise_without_end_is_not_held_back_for_ever():
    capture = MarkedCapture(10, "mark-")
    capture.feed(bytes(NOISE + 1))
    assert (len(capture.kept), capture.total) == (10, NOISE + 1)
