"""What a container prints, its log or a command in it, read while its step may go on.

The form of the stream is that of docs.docker.com/reference/api/engine ("Attach to a container", stream format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.systems.docker.engine import pieces

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
    answer = api._post_json(
        api._url("/exec/{0}/start", number),
        data={"Tty": False, "Detach": False},
        stream=True,
        headers={"Connection": "Upgrade", "Upgrade": "tcp"},
    )
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
    answer = api._get(
        api._url("/containers/{0}/logs", container.id), stream=True, params={"stdout": 1, "stderr": 1, "tail": lines}
    )
    api._raise_for_status(answer)
    frames = None if container.attrs["Config"].get("Tty") else _Frames()
    data = bytearray()
    with closing(answer), _ended(ctx):
        for piece in pieces(answer):
            data += piece if frames is None else b"".join(part for _, part in frames.take(piece))
            if len(data) > limit:
                break
    if ctx.deadline.cancel.is_set():
        ctx.deadline.check()
    if ctx.deadline.remaining() <= 0:
        raise CouldNotVerify(
            f"the log of {container.name} did not end within the step's time; {len(data)} bytes of it came",
            hint=f"see whether it is whole on its machine: docker logs --tail {lines} {container.name}",
        )
    return ctx.redactor.cut(bytes(data[:limit])) if len(data) > limit else bytes(data)


@contextmanager
def _ended(ctx: Context) -> Iterator[None]:
    """Take any error of a connection for its end once the step's time is over: ``engine`` ends its connections then."""
    from requests.exceptions import RequestException  # noqa: PLC0415  slow to load

    try:
        yield
    except (RequestException, OSError, EOFError):
        if not ctx.deadline.cancel.is_set() and ctx.deadline.remaining() > 0:
            raise


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
            part, self._data = self._data[: self._left], self._data[self._left :]
            self._left -= len(part)
            yield self._stream, part


class _End:
    """A sink that keeps the end of what is written to it."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def write(self, data: bytes) -> int:
        self.kept += data
        del self.kept[:-KEPT]
        return len(data)


def _streams(ctx: Context, file: Any) -> tuple[bytes, bytes]:
    """The ends of both streams without secrets, once they are closed."""
    ends = {_OUT: _End(), _ERR: _End()}
    writers = {stream: ctx.redactor.writer(end) for stream, end in ends.items()}
    line, data = _line(file)
    line.settimeout(TICK_S)
    frames, ended = _Frames(), False
    while not ended:
        for stream, part in frames.take(data):
            writers.get(stream, writers[_ERR]).write(part)
        ctx.deadline.check()
        data = b""
        with suppress(TimeoutError):
            data = line.recv(1 << 16)
            ended = not data
    for writer in writers.values():
        writer.finish()
    return bytes(ends[_OUT].kept), bytes(ends[_ERR].kept)


def _line(file: Any) -> tuple[Any, bytes]:
    """The socket or SSH channel below the file that the answer's head was read from, and what that has read beyond it."""
    if hasattr(file, "channel"):
        return file.channel, bytes(file._rbuffer)
    line = file.raw._sock
    line.setblocking(False)
    with suppress(OSError):
        return line, file.read1(1 << 16) or b""
    return line, b""
