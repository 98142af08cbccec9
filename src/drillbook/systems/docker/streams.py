"""Reads a container's log, or the output of a command in a container, until the step's deadline at most.

The format of the stream is that of docs.docker.com/reference/api/engine ("Attach to a container", stream format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.systems.docker.client import pieces

TICK_S = 0.2
KEPT = 16_000
"""Number of bytes stored from the end of each output stream."""
_OUT, _ERR = 1, 2


def command(ctx: Context, container: Any, argv: list[str], user: str) -> tuple[int, bytes, bytes]:
    """Run ``argv`` in a container. Return the exit status, the last bytes of standard output, and the last bytes of standard
    error.

    ``container`` is an object of the SDK. Raises TimeoutError at the step's deadline, and Cancelled when the run is stopped.
    In both cases the command continues to run, because the engine cannot kill it.
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
    """Return the last ``lines`` lines of a container's log, from both output streams, but at most ``limit`` bytes.
    ``container``: object of the SDK.

    Raises CouldNotVerify when the end of the log is not reached before the step's deadline. Raises Cancelled when the run is
    stopped. The SDK's own function is not used, because it waits without limit, and because it takes a broken connection for
    the end of the log.
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
            (
                f"the log of {container.name} could not be read to its end within the step's timeout; {len(data)} bytes "
                "were read"
            ),
            hint=f"read the log on the host itself: docker logs --tail {lines} {container.name}",
        )
    return ctx.redactor.cut(bytes(data[:limit])) if len(data) > limit else bytes(data)


@contextmanager
def _ended(ctx: Context) -> Iterator[None]:
    """Suppress connection errors after the step's deadline or after a stop of the run, because Drillbook itself then closes
    its connections to the engine. The caller then raises an error about the timeout or the stop.

    Before the deadline, and while the run is not stopped, no error is suppressed.
    """
    from requests.exceptions import RequestException  # noqa: PLC0415  slow to load

    try:
        yield
    except (RequestException, OSError, EOFError):
        if not ctx.deadline.cancel.is_set() and ctx.deadline.remaining() > 0:
            raise


class _Frames:
    """Splits the output of a container, in which both streams are multiplexed, into its streams."""

    def __init__(self) -> None:
        self._data, self._left, self._stream = b"", 0, _OUT

    def take(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the payload of each frame in the chunk ``piece``, with the number of its stream.

        A frame may span several chunks.
        """
        self._data += piece
        while self._data and (self._left or len(self._data) >= 8):
            if not self._left:
                self._stream, self._left = struct.unpack(">BxxxL", self._data[:8])
                self._data = self._data[8:]
            part, self._data = self._data[: self._left], self._data[self._left :]
            self._left -= len(part)
            yield self._stream, part


class _End:
    """Sink that stores only the end of the data written to it."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def write(self, data: bytes) -> int:
        self.kept += data
        del self.kept[:-KEPT]
        return len(data)


def _streams(ctx: Context, file: Any) -> tuple[bytes, bytes]:
    """Read both output streams until the command closes them. Return the end of each stream, in which secrets are hidden."""
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
    """Return the socket or SSH channel behind ``file``, and the bytes that were already read after the HTTP headers."""
    if hasattr(file, "channel"):
        return file.channel, bytes(file._rbuffer)
    line = file.raw._sock
    line.setblocking(False)
    with suppress(OSError):
        return line, file.read1(1 << 16) or b""
    return line, b""
