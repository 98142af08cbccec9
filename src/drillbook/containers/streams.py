"""What a container prints, its log or a command in it, read while its step may go on.

The form of the stream is that of docs.docker.com/reference/api/engine ("Attach to a container", stream format).
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from drillbook.action import Context
from drillbook.errors import CouldNotVerify

TICK_S = 0.2
KEPT = 16_000
"""Bytes of each stream that are kept: the last."""
_OUT, _ERR = 1, 2


def command(ctx: Context, container: Any, argv: list[str], user: str) -> tuple[int, bytes, bytes]:
    """Run ``argv`` in a container: its exit status, and the end of both its streams.

    ``container`` is the SDK's. Raises TimeoutError and Cancelled as the step's deadline does; the engine cannot end the
    command then.
    """
    api = container.client.api
    number = api.exec_create(container.id, argv, user=user)["Id"]
    answer = api._post_json(api._url("/exec/{0}/start", number), data={"Tty": False, "Detach": False}, stream=True,
                            headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    api._raise_for_status(answer)
    with closing(answer):
        out, err = _streams(ctx, answer.raw._fp.fp)
    while (seen := api.exec_inspect(number))["Running"]:
        ctx.deadline.wait(0.05)
    return int(seen["ExitCode"]), out, err


def log(ctx: Context, container: Any, lines: int, limit: int) -> bytes:
    """The last ``lines`` of a container's log, both streams as they came, of it the first ``limit`` bytes.

    ``container`` is the SDK's. Raises CouldNotVerify when the log does not end within the step's time, whatever of it came,
    and Cancelled. The SDK itself waits for the next piece without limit, and takes a broken connection for the log's end.
    """
    api = container.client.api
    answer = api._get(api._url("/containers/{0}/logs", container.id), stream=True,
                      params={"stdout": 1, "stderr": 1, "tail": lines})
    api._raise_for_status(answer)
    frames = None if container.attrs["Config"].get("Tty") else _Frames()
    data = bytearray()
    with closing(answer), _Watch(ctx, answer) as watch:
        for piece in answer.iter_content(1 << 16):
            data += piece if frames is None else b"".join(part for _, part in frames.take(piece))
            if len(data) >= limit:
                break
    if watch.cut:
        if ctx.deadline.cancel.is_set():
            ctx.deadline.check()
        raise CouldNotVerify(f"the log of {container.name} did not end within the step's time; {len(data)} bytes of it came",
                             hint=f"see whether it is whole on its machine: docker logs --tail {lines} {container.name}")
    return bytes(data[:limit])


class _Watch:
    """While it is entered, cuts the connection of an answer off once the step may not go on; its reader then sees an end."""

    def __init__(self, ctx: Context, answer: Any) -> None:
        self.cut = False
        self._ctx, self._file = ctx, answer.raw._fp.fp  # none when there was nothing to read
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="docker-log", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(TICK_S):
            if self._file is not None and (self._ctx.deadline.remaining() <= 0 or self._ctx.deadline.cancel.is_set()):
                self.cut = True
                _cut(self._file)
                return

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        """Whatever a reader makes of a connection that was cut is no news."""
        self._over.set()
        self._thread.join()
        return self.cut


def _cut(file: Any) -> None:
    """End the connection below ``file`` for its reader: a socket for good, an SSH channel on this side alone."""
    if hasattr(file, "channel"):
        file.channel.in_buffer.close()
        return
    with suppress(OSError):
        file.raw._sock.shutdown(socket.SHUT_RDWR)


class _Frames:
    """Takes apart what the streams of a container come in."""

    def __init__(self) -> None:
        self._data, self._left, self._stream = b"", 0, _OUT

    def take(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """The parts that ``piece`` completes or goes on with, each with the number of its stream."""
        self._data += piece
        while self._data and (self._left or len(self._data) >= 8):
            if not self._left:
                self._stream, self._left = struct.unpack(">BxxxL", self._data[:8])
                self._data = self._data[8:]
            part, self._data = self._data[:self._left], self._data[self._left:]
            self._left -= len(part)
            yield self._stream, part


def _streams(ctx: Context, file: Any) -> tuple[bytes, bytes]:
    """The ends of both streams, once they are closed."""
    kept = {_OUT: bytearray(), _ERR: bytearray()}
    line, data = _line(file)
    line.settimeout(TICK_S)
    frames, ended = _Frames(), False
    while not ended:
        for stream, part in frames.take(data):
            into = kept.setdefault(stream, bytearray())
            into += part
            del into[:-KEPT]
        ctx.deadline.check()
        data = b""
        with suppress(TimeoutError):
            data = line.recv(1 << 16)
            ended = not data
    return bytes(kept[_OUT]), bytes(kept[_ERR])


def _line(file: Any) -> tuple[Any, bytes]:
    """The socket or SSH channel below the file that the answer's head was read from, and what that has read beyond it."""
    if hasattr(file, "channel"):
        return file.channel, bytes(file._rbuffer)
    line = file.raw._sock
    line.setblocking(False)
    with suppress(OSError):
        return line, file.read1(1 << 16) or b""
    return line, b""
