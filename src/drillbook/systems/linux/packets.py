"""Parses a packet capture as a stream. It counts TCP packets and keeps their headers, but drops the payload. This module
opens no files.

The format is libpcap's (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html), with the link types Ethernet, raw
IP and Linux "cooked" (https://www.tcpdump.org/linktypes.html). Flags and sequence numbers are those of RFC 9293.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

_MAGIC = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
# By link type: number of bytes before the network layer, and position of the protocol number in them (None for raw IP).
_LINKS: dict[int, tuple[int, int | None]] = {1: (14, 12), 101: (0, None), 113: (16, 14), 276: (20, 0)}
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_HALF, _WHOLE = 1 << 31, 1 << 32
_LONGEST = 1 << 18
Flow = tuple[bytes, bytes]


class Sink(Protocol):
    """Destination of the captured packets. It receives their headers, but not their payload."""

    def write(self, data: bytes) -> int:
        """Write the next chunk of the capture."""


@dataclass(slots=True)
class _Direction:
    """State of one direction of a TCP connection, such as the sequence numbers seen so far."""

    sent: int | None = None  # sequence number after the newest byte sent
    opened: int | None = None  # sequence number of the SYN
    asked: bool = False  # this side opened the connection
    answered: bool = False
    refused: bool = False

    def sends(self, sequence: int, payload: int, *, syn: bool, asks: bool) -> bool:
        """Record a packet of this direction. Returns True when the packet is a retransmission."""
        if syn:
            again = self.opened == sequence
            self.opened, self.sent, self.asked = sequence, (sequence + 1) % _WHOLE, self.asked or asks
            return again
        if not payload:
            return False
        behind = (sequence + payload) % _WHOLE
        newer = self.sent is None or 0 < (behind - self.sent) % _WHOLE < _HALF
        self.sent = behind if newer else self.sent
        return not newer and payload > 1  # a repeated single byte is a keepalive


@dataclass(slots=True)
class Capture:
    """Parser of a capture, which ``write`` receives in chunks. It passes the headers to ``sink``, and counts the packets."""

    sink: Sink
    packets: int = 0
    size: int = 0
    """Total size of the sent packets in bytes. It includes the payload, although the capture lacks it."""
    flags: Counter[str] = field(default_factory=Counter)
    other: int = 0
    """Number of packets that are not TCP, or that have an incomplete TCP header."""
    broken: bool = False
    """True when the capture cannot be parsed, because its format or link type is unknown."""
    _order: str = ""
    _link: int = 0
    _kept: bytearray = field(default_factory=bytearray)
    _again: Counter[bytes] = field(default_factory=Counter)
    _flows: dict[tuple[bytes, Flow], _Direction] = field(default_factory=dict)

    def write(self, data: bytes) -> int:
        """Parse the next chunk of the capture."""
        self._kept += data
        if not self._order and not self.broken and len(self._kept) >= 24:
            self._begin()
        at = 0
        while self._order and len(self._kept) - at >= 16:
            _, _, length, original = struct.unpack_from(f"{self._order}IIII", self._kept, at)
            if length > _LONGEST:
                self._order, self.broken = "", True
                break
            if len(self._kept) - at - 16 < length:
                break
            self._packet(bytes(self._kept[at : at + 8]), bytes(self._kept[at + 16 : at + 16 + length]), original)
            at += 16 + length
        del self._kept[: len(self._kept) if self.broken else at]
        return len(data)

    @property
    def cut(self) -> bool:
        """True when the capture ends in the middle of a packet. That packet is not counted."""
        return bool(self._kept)

    def _begin(self) -> None:
        self._order = _MAGIC.get(bytes(self._kept[:4]), "")
        if self._order:
            self._link = struct.unpack_from(f"{self._order}I", self._kept, 20)[0] & 0xFFFF
        if not self._order or self._link not in _LINKS:
            self._order, self.broken = "", True
            return
        self.sink.write(bytes(self._kept[:24]))
        del self._kept[:24]

    def _packet(self, when: bytes, frame: bytes, original: int) -> None:
        self.packets += 1
        self.size += original
        before, _ = _LINKS[self._link]
        header = _tcp(frame, self._link)
        end = before + 60 if header is None else header[1]
        if header is None:
            self.other += 1
        else:
            self._count(frame, *header)
        kept = frame[: min(len(frame), end)]
        self.sink.write(when + struct.pack(f"{self._order}II", len(kept), original) + kept)

    def _count(self, frame: bytes, at: int, end: int, flow: Flow, payload: int) -> None:
        sequence, flags = struct.unpack_from(">I", frame, at + 4)[0], frame[at + 13]
        # A packet may appear on several interfaces: only a repetition on the same interface is a retransmission.
        way = frame[4:8] if self._link == 276 else b""
        mine = self._flows.setdefault((way, flow), _Direction())
        theirs = self._flows.get((way, (flow[1], flow[0])))
        for bit, name in ((_SYN, "syn_ack" if flags & _ACK else "syn"), (_FIN, "fin"), (_RST, "rst")):
            if flags & bit:
                self.flags[name] += 1
        self._again[way] += mine.sends(sequence, payload, syn=bool(flags & _SYN), asks=not flags & _ACK)
        if theirs is not None and theirs.asked:
            theirs.refused = theirs.refused or (bool(flags & _RST) and not theirs.answered)
            theirs.answered = True

    def facts(self) -> dict[str, Any]:
        """Return facts: numbers of packets and of flags, and the outcomes of the connections that began during the capture."""
        asked = {flow for (_, flow), direction in self._flows.items() if direction.asked}
        refused = {flow for (_, flow), direction in self._flows.items() if direction.refused}
        answered = {flow for (_, flow), direction in self._flows.items() if direction.answered}
        return {
            "packets": self.packets,
            "bytes": self.size,
            "flags": {name: self.flags[name] for name in ("syn", "syn_ack", "fin", "rst")},
            "retransmissions": max(self._again.values(), default=0),
            "connections": len(asked),
            "refused": len(asked & refused),
            "unanswered": len(asked - answered),
            "other": self.other,
        }


def _tcp(frame: bytes, link: int) -> tuple[int, int, Flow, int] | None:
    """Return begin and end of the TCP header in ``frame``, both endpoints, and the payload size.

    Returns None for a packet that is not TCP.
    """
    before, protocol = _LINKS[link]
    if len(frame) < before + 20:
        return None
    kind = struct.unpack_from(">H", frame, protocol)[0] if protocol is not None else {4: 0x800, 6: 0x86DD}.get(frame[0] >> 4)
    if kind == 0x800 and frame[before + 9] == 6:
        at = before + 4 * (frame[before] & 15)
        addresses, length = (
            (frame[before + 12 : before + 16], frame[before + 16 : before + 20]),
            frame[before + 2 : before + 4],
        )
        behind = before + int.from_bytes(length)
    elif kind == 0x86DD and len(frame) >= before + 40 and frame[before + 6] == 6:
        at = before + 40
        addresses, length = (
            (frame[before + 8 : before + 24], frame[before + 24 : before + 40]),
            frame[before + 4 : before + 6],
        )
        behind = at + int.from_bytes(length)
    else:
        return None
    if len(frame) < at + 20:
        return None
    end = at + 4 * (frame[at + 12] >> 4)
    return at, end, (addresses[0] + frame[at : at + 2], addresses[1] + frame[at + 2 : at + 4]), max(0, behind - end)
