"""Packets of a capture, made here: counted, and kept without what they carry."""

import io
import os
import struct

import pytest

from drillbook.systems.linux.packets import Capture as Packets


def packet(source, target, flags, sequence=0, payload=b""):
    tcp = struct.pack(">HHIIBBHHH", source, target, sequence, 0, 5 << 4, flags, 0, 0, 0) + payload
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x7f\0\0\1", b"\x7f\0\0\1") + tcp
    return b"\0" * 12 + b"\x08\0" + ip


def capture(*frames, link=1):
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    return data + b"".join(struct.pack("<IIII", 1, 0, len(frame), len(frame)) + frame for frame in frames)


def counted(data, step=10_000):
    sink = io.BytesIO()
    found = Packets(sink)
    for at in range(0, len(data), step):
        found.write(data[at : at + step])
    return found, sink.getvalue()


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_what_comes_again(step):
    frames = [
        packet(1, 80, SYN, 100),
        packet(80, 1, SYN | ACK, 500),
        packet(1, 80, ACK, 101, b"hello"),
        packet(1, 80, ACK, 101, b"hello"),
        packet(1, 80, ACK, 106, b"more"),
        packet(1, 80, ACK, 109, b"e"),
        packet(1, 80, ACK, 110),
        packet(2, 80, SYN, 7),
        packet(2, 80, SYN, 7),
        packet(3, 80, SYN, 9),
        packet(80, 3, RST | ACK, 0),
    ]
    found, kept = counted(capture(*frames), step)
    assert found.facts() | {"bytes": 0} == {
        "packets": 11,
        "bytes": 0,
        "flags": {"syn": 4, "syn_ack": 1, "fin": 0, "rst": 1},
        "retransmissions": 2,
        "connections": 3,
        "refused": 1,
        "unanswered": 1,
        "other": 0,
    }
    assert b"hello" not in kept
    assert counted(kept)[0].facts() == found.facts(), "what is kept tells the same"


def test_sequence_numbers_wrap_around():
    top = (1 << 32) - 3
    found, _ = counted(
        capture(packet(1, 80, ACK, top, b"abc"), packet(1, 80, ACK, 0, b"def"), packet(1, 80, ACK, top, b"abc"))
    )
    assert found.facts()["retransmissions"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no capture at all, but long enough for one",
        capture(link=147) + b"\0" * 50,
        capture() + struct.pack("<IIII", 1, 0, 1 << 30, 1 << 30) + b"x" * 100,
        os.urandom(300),
        capture(b"\0" * 5, b"\x08\0" * 9, b"\0" * 12 + b"\x86\xdd" + b"\x60" * 30),
    ],
)
def test_a_broken_capture_breaks_nothing(data):
    found, _ = counted(data)
    assert found.facts()["connections"] == 0


def test_a_capture_that_is_cut_keeps_its_whole_packets():
    data = capture(packet(1, 80, SYN, 1), packet(2, 80, SYN, 1))
    found, kept = counted(data[:-3])
    assert found.packets == 1
    assert found.cut
    assert not counted(kept)[0].cut


SYN, ACK, RST = 2, 16, 4
