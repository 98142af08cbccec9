"""Relay on loopback that passes each piece of data on after a delay: `python -m bench.drill.relay SECONDS PORT:FAR...`."""

from __future__ import annotations

import asyncio
import sys


class End(asyncio.Protocol):
    """One end of a relayed connection; what it receives is written to the other end after the delay."""

    def __init__(self, delay: float, other: asyncio.Transport | None = None) -> None:
        self.delay, self.other = delay, other
        self.early: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delay, self._pass, data)

    def _pass(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        elif not self.other.is_closing():
            self.other.write(data)

    def join(self, other: asyncio.Transport) -> None:
        self.other = other
        for data in self.early:
            other.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self.delay, self.other.close)


class Near(End):
    """End of a client, which opens the connection to the server behind it."""

    def __init__(self, delay: float, far: int) -> None:
        super().__init__(delay)
        self.far = far

    def connection_made(self, transport) -> None:  # type: ignore[no-untyped-def]
        async def dial() -> None:
            loop = asyncio.get_running_loop()
            there, _ = await loop.create_connection(lambda: End(self.delay, transport), "127.0.0.1", self.far)
            self.join(there)

        self.task = asyncio.ensure_future(dial())


async def serve(delay: float, ways: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for way in ways:
        port, far = map(int, way.split(":"))
        await loop.create_server(lambda far=far: Near(delay, far), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), sys.argv[2:]))
