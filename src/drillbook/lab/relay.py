"""A TCP relay whose path can be broken on purpose, without root.

``python -m drillbook.lab.relay FOLDER NAME=PORT:[HOST:]PORT ...`` serves one path for each NAME. It
listens on the first port, and relays to the second port, which is on this machine or on HOST. The file FOLDER/NAME sets the
mode of the path in one line, ``KIND MILLISECONDS OWNER``. Without this file, the path is open. OWNER tells which step of
which run set the mode; the relay ignores it. KIND is one of these:

drop   data and new connections wait until the mode ends, as with lost packets and their retransmission
delay  every answer is delayed by MILLISECONDS
reset  every existing and new connection is reset

Memory is limited: at most BACKLOG connections wait, and at most LIMIT connections are relayed. Each relayed connection
holds at most DEPTH buffers of PIECE bytes in each direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drillbook.lab.layout import ADDRESS

BACKLOG = 32
LIMIT = 256
PIECE = 1 << 16
DEPTH = 8
LOOK_EVERY = 0.1
DIAL_WITHIN = 5.0
KINDS = ("open", "drop", "delay", "reset")
_AT_ONCE = struct.pack("ii", 1, 0)

Held = asyncio.Queue[tuple[float, bytes]]
"""Pieces of data in transit. Each has its earliest delivery time (monotonic seconds). An empty piece ends the stream."""


@dataclass(frozen=True, slots=True)
class Mode:
    """Mode of a relayed path. ``delay`` is in seconds."""

    kind: str = "open"
    delay: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Parse the line of a control file. Raises ValueError when the line names an unknown kind of fault."""
        kind, milliseconds, *_ = [*text.split(), "0"]
        if kind not in KINDS:
            raise ValueError(f"unknown kind of fault: {kind[:40]!r}")
        return cls(kind, min(60.0, max(0.0, int(milliseconds) / 1000)))


class Relayed:
    """One relayed port, with its current connections and mode."""

    def __init__(self, control: Path, listen: int, target: int, host: str = ADDRESS) -> None:
        """Bind the port ``listen``, and read the mode from ``control``. Raises OSError when the port is taken."""
        self.mode = Mode()
        self._control = control
        self._target = (host, target)
        self._passable = asyncio.Event()
        self._passable.set()
        self._carried: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(LIMIT)
        self._seen: tuple[int, int, int] | None = None
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        self._listener.bind((ADDRESS, listen))
        self.look()
        self._listener.listen(BACKLOG)

    async def watch(self) -> None:
        """Check the control file repeatedly, and apply each new mode. Never returns."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Read the control file. If its mode differs from the mode of the relay, apply the mode of the file."""
        mode = self._read()
        if mode is None or mode == self.mode:
            return
        self.mode = mode
        if mode.kind == "drop":
            self._passable.clear()
        else:
            self._passable.set()
        if mode.kind == "reset":
            for task in self._carried:
                task.cancel()

    def _read(self) -> Mode | None:
        """Read the mode from the control file. Returns None when the file is unchanged or invalid."""
        try:
            status = self._control.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return None
            self._seen = seen
            return Mode.parse(self._control.read_text(encoding="utf-8")[:400])
        except FileNotFoundError:
            self._seen = None
            return Mode()
        except (OSError, ValueError) as error:
            logging.error("%s is ignored: %s", self._control, error)
            return None

    async def accept(self) -> None:
        """Accept connections, except in the mode `drop`. Never returns."""
        loop = asyncio.get_running_loop()
        while True:
            await self._slots.acquire()
            await self._passable.wait()
            try:
                near, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                self._slots.release()
                logging.error("no connection can be accepted: %s", error)
                await asyncio.sleep(0.2)  # too many open files, for example: an immediate retry would fail too
                continue
            task = asyncio.create_task(self._carry(near))
            self._carried.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._carried.discard(task)
        self._slots.release()

    async def _carry(self, near: socket.socket) -> None:
        """Relay one connection until it ends. When one side breaks, both sides are reset."""
        far = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        whole = False
        try:
            await self._passable.wait()
            if self.mode.kind != "reset":
                for end in (near, far):
                    end.setblocking(False)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                async with asyncio.timeout(DIAL_WITHIN):
                    await asyncio.get_running_loop().sock_connect(far, self._target)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._way(near, far, answers=False))
                    both.create_task(self._way(far, near, answers=True))
                whole = True
        except* (OSError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            for end in (near, far):
                if not whole:
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                end.close()

    async def _way(self, source: socket.socket, sink: socket.socket, *, answers: bool) -> None:
        held: Held = asyncio.Queue(DEPTH)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._take(source, held, answers=answers))
            ends.create_task(self._give(sink, held))

    async def _take(self, source: socket.socket, held: Held, *, answers: bool) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._passable.wait()
            piece = await loop.sock_recv(source, PIECE)
            await held.put((time.monotonic() + (self.mode.delay if answers else 0.0), piece))
            if not piece:
                return

    async def _give(self, sink: socket.socket, held: Held) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await held.get()
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            await self._passable.wait()
            if not piece:
                sink.shutdown(socket.SHUT_WR)  # this direction has ended, the other may continue
                return
            await loop.sock_sendall(sink, piece)


async def serve(folder: Path, names: Sequence[str]) -> None:
    """Forward connections until the process ends. Each element of ``names`` describes one network path as
    ``NAME=PORT:[HOST:]PORT``: its name, the port on which the relay listens, and the address to which it forwards. Without
    ``HOST``, it forwards to this machine. Raises OSError when a port is in use.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    async with asyncio.TaskGroup() as work:
        for text in names:
            name, _, ports = text.partition("=")
            listen, _, target = ports.partition(":")
            host, _, port = target.rpartition(":")
            path = Relayed(folder / name, int(listen), int(port), host or ADDRESS)
            work.create_task(path.watch())
            work.create_task(path.accept())


def main() -> None:
    """Relay connections. The arguments on the command line are the folder of the control files, and the paths to serve in
    the form ``NAME=PORT:[HOST:]PORT``.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2:]))


if __name__ == "__main__":
    main()
