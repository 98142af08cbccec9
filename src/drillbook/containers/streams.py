"""What a command in a container prints, read while its step may go on.

The form of the stream is that of docs.docker.com/reference/api/engine ("Attach to a container", stream format).
"""

from __future__ import annotations

import struct
from contextlib import closing, suppress
from typing import Any

from drillbook.action import Context

TICK_S = 0.2
KEPT = 16_000
"""Bytes of each stream that are kept: the last."""
_OUT, _ERR = 1, 2


def command(ctx: Context, api: Any, container: str, argv: list[str], user: str) -> tuple[int, bytes, bytes]:
    """Run ``argv`` in a container: its exit status, and the end of both its streams.

    ``api`` is the SDK's APIClient. Raises TimeoutError and Cancelled as the step's deadline does; the engine cannot end the
    command then.
    """
    number = api.exec_create(container, argv, user=user)["Id"]
    answer = api._post_json(api._url("/exec/{0}/start", number), data={"Tty": False, "Detach": False}, stream=True,
                            headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    api._raise_for_status(answer)
    with closing(answer):
        out, err = _streams(ctx, answer.raw._fp.fp)
    while (seen := api.exec_inspect(number))["Running"]:
        ctx.deadline.wait(0.05)
    return int(seen["ExitCode"]), out, err


def _streams(ctx: Context, file: Any) -> tuple[bytes, bytes]:
    """The ends of both streams, once they are closed."""
    kept = {_OUT: bytearray(), _ERR: bytearray()}
    line, data = _line(file)
    line.settimeout(TICK_S)
    left, stream, ended = 0, _OUT, False
    while not ended:
        while data:
            if not left:
                if len(data) < 8:
                    break
                stream, left = struct.unpack(">BxxxL", data[:8])
                data = data[8:]
            into = kept.setdefault(stream, bytearray())
            into += data[:left]
            del into[:-KEPT]
            data, left = data[left:], left - min(left, len(data))
        ctx.deadline.check()
        with suppress(TimeoutError):
            piece = line.recv(1 << 16)
            data, ended = data + piece, not piece
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
