"""Connections to a Redis service from the controller: raw answers, a deadline, and one kind of error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.sdk.answers import Budget
from drillbook.sdk.deadline import Lines
from drillbook.sdk.host import Deadline, printable
from drillbook.systems.redis.service import Redis

ANSWER_S = 10.0
"""Seconds within which a server must answer one command."""
MOST_ANSWER = 64 << 20
"""Bytes of the answer to one command, such as all that one key holds."""
GARBAGE = (ValueError, RecursionError)
"""Errors of the library about an answer that is none of the protocol, or nested without end."""
Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One connection. Answers are as the server gives them: bytes, numbers, None, and lists of these."""

    line: Any
    deadline: Deadline

    def ask(self, *command: str | bytes | int) -> Any:
        """The answer to one command. Raises redis.RedisError, which ``connected`` makes a CouldNotVerify."""
        answer = self.batch([command])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def batch(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to ``commands``, sent at once; what the server refuses is an exception in its place."""
        return list(self.each(commands))

    def each(self, commands: Sequence[Command]) -> Iterator[Any]:
        """The answers to ``commands``, sent at once, one after another; each has a budget. See ``batch``."""
        from redis.exceptions import ResponseError  # noqa: PLC0415  slow to import

        self.deadline.check()
        if commands:
            self.line.send_packed_command(self.line.pack_commands(commands))
        for _ in commands:
            try:
                yield self.line.read_response()
            except ResponseError as error:
                yield error

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO, as text."""
        lines = self.ask("INFO", section).decode("utf-8", "replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    def settings(self, *names: str) -> dict[str, str]:
        """The server's settings of these names; those that it does not know are left out."""
        found: dict[str, str] = {}
        for name in names:
            answer = self.ask("CONFIG", "GET", name)
            found |= {answer[at].decode(): answer[at + 1].decode("utf-8", "replace") for at in range(0, len(answer), 2)}
        return found

    def clock(self) -> int:
        """The server's time in milliseconds since 1970."""
        seconds, micros = self.ask("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def sizes(self) -> dict[int, int]:
        """How many keys each database holds; empty ones are left out."""
        return {
            int(name[2:]): int(text.split(",")[0].removeprefix("keys="))
            for name, text in self.info("keyspace").items()
            if name.startswith("db")
        }


class _Counted:
    """A socket whose answers have a budget, which counts before the library keeps anything."""

    def __init__(self, sock: Any, what: str) -> None:
        self._sock, self._what = sock, what
        self.begin()

    def begin(self) -> None:
        """Expect a new answer."""
        self._budget = Budget(self._what, MOST_ANSWER)

    def recv(self, size: int) -> bytes:
        """Receive as a socket does. Raises CouldNotVerify beyond the budget."""
        data: bytes = self._sock.recv(size)
        self._take(data)
        return data

    def recv_into(self, buffer: Any) -> int:
        """Receive as a socket does. Raises CouldNotVerify beyond the budget."""
        size: int = self._sock.recv_into(buffer)
        self._take(bytes(buffer[:size]))
        return size

    def _take(self, data: bytes) -> None:
        # An error among the values of an answer takes ten times the memory of another value.
        self._budget.take(len(data), data.count(b"\r\n") + 9 * data.count(b"\r\n-"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def opened(
    address: str,
    port: int,
    *,
    user: str = "",
    password: str | None = None,
    timeout: float = ANSWER_S,
    lines: Lines | None = None,
) -> Any:
    """A connection that is made and logged in, and ended with ``lines``.

    Raises redis.RedisError, OSError, and CouldNotVerify for an answer beyond the budget, here and whenever it is read.
    """
    from redis.backoff import NoBackoff  # noqa: PLC0415  slow to import
    from redis.connection import Connection  # noqa: PLC0415  slow to load
    from redis.exceptions import InvalidResponse  # noqa: PLC0415  slow to load
    from redis.retry import Retry  # noqa: PLC0415  slow to load

    class Line(Connection):
        """A connection that is watched before it logs in, and counts what it reads."""

        def _connect(self) -> Any:
            sock = super()._connect()  # type: ignore[no-untyped-call]
            if lines is not None:
                lines.add(sock)
            return _Counted(sock, f"an answer of the server at {address}:{port}")

        def read_response(self, *given: Any, **named: Any) -> Any:
            sock: Any = self._sock
            if sock is not None:
                sock.begin()
            try:
                return super().read_response(*given, **named)
            except GARBAGE as error:
                raise InvalidResponse(f"no answer of this protocol: {type(error).__name__}") from None

    # A write that is sent again by itself would hide what the canary measures.
    make: Any = Line
    line = make(
        host=address,
        port=port,
        username=user or None,
        password=password,
        protocol=2,
        socket_keepalive=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        line.connect()
    except BaseException:
        line.disconnect()
        raise
    return line


@contextmanager
def connected(ctx: Context, service: Redis) -> Iterator[Session]:
    """A session with ``service``. Raises CouldNotVerify for all that the server or the connection refuses, HostError."""
    from redis.exceptions import RedisError  # noqa: PLC0415  slow to import

    password = service.password.reveal() if service.password else None
    with ctx.reach(service) as (address, port), Lines(ctx.deadline) as lines:
        line = None
        try:
            timeout = min(ANSWER_S, max(0.1, ctx.deadline.remaining()))
            line = opened(address, port, user=service.user, password=password, timeout=timeout, lines=lines)
            yield Session(line, ctx.deadline)
        except (RedisError, OSError) as error:
            ctx.deadline.check(f"{service.name} at {service.address}:{service.port}")
            raise CouldNotVerify(
                f"{service.name} at {service.address}:{service.port}: {reason(error)}",
                hint=("check address, port and password of the service in the inventory, and that it runs"),
            ) from error
        finally:
            if line is not None:
                line.disconnect()


def reason(error: BaseException) -> str:
    """What the server or the connection said, in one printable line."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return printable(text, limit=300)
