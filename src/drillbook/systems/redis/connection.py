"""Connections from the controller to a Redis service. They return raw answers, end at a deadline, and raise a single kind of
error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.deadline import Lines
from drillbook.sdk.host import Deadline, printable
from drillbook.systems.redis.service import Redis

ANSWER_S = 10.0
"""Time in seconds within which a server must answer one command."""
MOST_ANSWER = 64 << 20
"""Maximum size of the answer to one command, such as the whole value of a key, in bytes."""
GARBAGE = (ValueError, RecursionError)
"""Errors that the redis library raises when an answer is invalid or too deeply nested."""
Command = tuple[str | bytes | int, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One connection to a server. Answers are raw: bytes, numbers, None, and lists of these."""

    line: Any
    deadline: Deadline

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command, and return the answer. Raises redis.RedisError when the command fails; ``connected`` converts
        this error to CouldNotVerify.
        """
        answer = self.batch([command])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def batch(self, commands: Sequence[Command]) -> list[Any]:
        """Send ``commands`` at once, and return their answers. If a command is refused, its answer is an exception object."""
        return list(self.each(commands))

    def each(self, commands: Sequence[Command]) -> Iterator[Any]:
        """Send ``commands`` at once, and yield the answers one by one. The size of each answer is limited. If a command is
        refused, its answer is an exception object, as in ``batch``.
        """
        from redis.exceptions import ResponseError  # noqa: PLC0415  slow to load

        self.deadline.check()
        if commands:
            self.line.send_packed_command(self.line.pack_commands(commands))
        for _ in commands:
            try:
                yield self.line.read_response()
            except ResponseError as error:
                yield error

    def info(self, section: str) -> dict[str, str]:
        """Return one section of the answer to INFO as a mapping of names to text values."""
        lines = self.ask("INFO", section).decode("utf-8", "replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    def settings(self, *names: str) -> dict[str, str]:
        """Return the values of the server's settings ``names``. Settings that the server does not know are omitted."""
        settings: dict[str, str] = {}
        for name in names:
            answer = self.ask("CONFIG", "GET", name)
            settings |= {answer[at].decode(): answer[at + 1].decode("utf-8", "replace") for at in range(0, len(answer), 2)}
        return settings

    def clock(self) -> int:
        """Return the server's time in milliseconds since 1970."""
        seconds, micros = self.ask("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def sizes(self) -> dict[int, int]:
        """Return the number of keys of each non-empty database."""
        return {
            int(name[2:]): int(text.split(",")[0].removeprefix("keys="))
            for name, text in self.info("keyspace").items()
            if name.startswith("db")
        }


class _Counted:
    """A socket wrapper that limits the size of each answer before the library buffers the answer."""

    def __init__(self, sock: Any, what: str) -> None:
        self._sock, self._what = sock, what
        self.begin()

    def begin(self) -> None:
        """Reset the byte count, since a new answer begins."""
        self._budget = Budget(self._what, MOST_ANSWER)

    def recv(self, size: int) -> bytes:
        """Receive like ``socket.recv``. Raises CouldNotVerify when the answer exceeds the limit."""
        data: bytes = self._sock.recv(size)
        self._take(data)
        return data

    def recv_into(self, buffer: Any) -> int:
        """Receive like ``socket.recv_into``. Raises CouldNotVerify when the answer exceeds the limit."""
        size: int = self._sock.recv_into(buffer)
        self._take(bytes(buffer[:size]))
        return size

    def _take(self, data: bytes) -> None:
        # An error inside an answer takes ten times the memory of another value, so it is counted as ten values.
        self._budget.take(len(data), data.count(b"\r\n") + 9 * data.count(b"\r\n-"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@cache
def _line_class() -> Any:
    """Return ``Line``, a subclass of the redis library's connection. It is defined at its first use, because the library is
    slow to load.
    """
    from redis.connection import Connection  # noqa: PLC0415  slow to load
    from redis.exceptions import InvalidResponse  # noqa: PLC0415  slow to load

    class Line(Connection):
        """A connection that limits the size of answers. ``lines``: the open connections of the step, which are closed at its
        deadline, even during the login.
        """

        lines: Lines | None = None

        def _connect(self) -> Any:
            sock = super()._connect()  # type: ignore[no-untyped-call]
            if self.lines is not None:
                self.lines.add(sock)
            return _Counted(sock, f"an answer of the server at {self.host}:{self.port}")

        def read_response(self, *given: Any, **named: Any) -> Any:
            sock: Any = self._sock
            if sock is not None:
                sock.begin()
            try:
                return super().read_response(*given, **named)
            except GARBAGE as error:
                raise InvalidResponse(f"the answer does not follow the Redis protocol: {type(error).__name__}") from None

    return Line


def opened(
    address: str,
    port: int,
    *,
    user: str = "",
    password: str | None = None,
    timeout: float = ANSWER_S,
    lines: Lines | None = None,
) -> Any:
    """Open a connection and log in. ``lines``: object that closes the connection at the deadline.

    Raises redis.RedisError or OSError when the connection or the login fails, and CouldNotVerify when an answer is larger
    than the limit. Later reads of the connection raise the same errors.
    """
    from redis.backoff import NoBackoff  # noqa: PLC0415  slow to load
    from redis.retry import Retry  # noqa: PLC0415  slow to load

    # If the library repeated a failed write, the canary would not see the failure that it must measure.
    line = _line_class()(
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
    line.lines = lines
    try:
        line.connect()
    except BaseException:
        line.disconnect()
        raise
    return line


def _unusable(error: Exception, service: Redis, local: str) -> CouldNotVerify:
    """Return the error for a session that failed. The error names the server by its address in the inventory, and the hint
    names the fields of the inventory to check. ``local``: address and port of the connection. For a service with `reach:
    ssh`, these belong to a tunnel on the controller.
    """
    seen = f", as seen from {service.host}" if service.reach == "ssh" else ""
    said = reason(error).replace(local, f"{service.address}:{service.port}")
    place = f"{service.setting('address')} and {service.setting('port')}"
    refused = any(word in said.lower() for word in ("password", "auth", "noperm", "permission"))
    fields = f"{service.setting('user')} and {service.setting('password')}" if refused else place
    return CouldNotVerify(
        f"{service.name} at {service.address}:{service.port}{seen}: {said}",
        hint=f"check that the server runs, and {fields}",
    )


@contextmanager
def connected(ctx: Context, service: Redis) -> Iterator[Session]:
    """Open a session with ``service``. Raises CouldNotVerify for any error of the server or the connection, and HostError
    when the host cannot be used.
    """
    from redis.exceptions import RedisError  # noqa: PLC0415  slow to load

    password = service.password.reveal() if service.password else None
    with ctx.reach(service) as (address, port), Lines(ctx.deadline) as lines:
        line = None
        try:
            timeout = min(ANSWER_S, max(0.1, ctx.deadline.remaining()))
            line = opened(address, port, user=service.user, password=password, timeout=timeout, lines=lines)
            yield Session(line, ctx.deadline)
        except (RedisError, OSError) as error:
            ctx.deadline.check(f"{service.name} at {service.address}:{service.port}")
            raise _unusable(error, service, f"{address}:{port}") from error
        finally:
            if line is not None:
                line.disconnect()


def reason(error: BaseException) -> str:
    """Return the text of an error of a server or a connection as one printable line."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return printable(text, limit=300)
