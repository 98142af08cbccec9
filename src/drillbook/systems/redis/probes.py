"""Probes of Redis and Valkey."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

from pydantic import Field
from redis.exceptions import RedisError, ResponseError

from drillbook.errors import CouldNotVerify, HostError, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.probe import Availability, CanaryWriter, ConnectedWriter, Lost
from drillbook.sdk.probe import Canary as BaseCanary
from drillbook.systems.redis import content
from drillbook.systems.redis.connection import Session, connected, opened, reason
from drillbook.systems.redis.server_state import must_be_master
from drillbook.systems.redis.service import Redis
from drillbook.values import Duration

ServiceName = Annotated[str, Field(description="Name of the Redis service in the inventory.")]


class Available(Availability):
    """Send a PING to the server.

    When `key` is set, also check that this key exists, since a flushed server still answers a PING.
    """

    service: ServiceName
    key: Annotated[str, Field(description="Key that must always exist. When it is empty, the probe only sends a PING.")] = ""

    def check(self, ctx: Context) -> str | None:
        """Connect to the server, and send PING, or EXISTS if the parameter `key` is set. Return the problem, or None if the
        answer is good.
        """
        service = ctx.service(self.service, Redis)
        try:
            password = service.password.reveal() if service.password else None
            with ctx.reach(service) as (address, port):
                line = opened(address, port, user=service.user, password=password, timeout=float(self.timeout))
                try:
                    line.send_command(*(("EXISTS", self.key) if self.key else ("PING",)))
                    answer = line.read_response()
                finally:
                    line.disconnect()
        except (RedisError, HostError, OSError) as error:
            return reason(error)
        return None if answer else f"the key {content.text_of(self.key.encode())} does not exist"


class Canary(BaseCanary):
    """Write numbered keys, as a client would. Each key that the server acknowledged must exist after the recovery."""

    service: ServiceName
    every: Duration = Field(
        default=Duration(0.05), description="Time between two writes. The RPO is measured with this resolution."
    )
    timeout: Duration = Field(
        default=Duration(1.0),
        description="Time limit of a write. A key that the server has not acknowledged by then may or may not exist.",
    )

    def reach(self, ctx: Context) -> None:
        """Log in to the server. Raises NotReady when the login fails."""
        with self._writing(ctx):
            pass

    def prepare(self, ctx: Context) -> None:
        """Write and remove one key, to test that writing works. Raises NotReady when it does not work."""
        with self._writing(ctx) as session:
            session.ask("SET", f"{_prefix(ctx)}0", "")
            session.ask("DEL", f"{_prefix(ctx)}0")

    @contextmanager
    def _writing(self, ctx: Context) -> Iterator[Session]:
        service = ctx.service(self.service, Redis)
        try:
            with connected(ctx, service) as session:
                must_be_master(session, service)
                yield session
        except (CouldNotVerify, HostError) as error:
            raise NotReady(
                f"the canary cannot write to {self.service}: {error.message}",
                hint="the user of the service in the inventory must be able to write keys that begin with `drillbook:`",
            ) from error

    def writer(self, ctx: Context) -> CanaryWriter:
        """Return a writer of numbered keys over one connection."""
        return _Writer(ctx, ctx.service(self.service, Redis), float(self.timeout))

    def survivors(self, ctx: Context) -> Iterable[int]:
        """Return the numbers of those keys of this run that exist on the server now. Raises CouldNotVerify when the server
        cannot be read.
        """
        return sorted({int(key.rpartition(b":")[2]) for keys in self._keys(ctx) for key in keys})

    def clean(self, ctx: Context) -> None:
        """Delete all keys that this run wrote. One of them is the mark, a key that a restore may have brought back. Raises
        CouldNotVerify when the server does not answer.
        """
        keys = [key for piece in self._keys(ctx, "") for key in piece]
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            for at in range(0, len(keys), content.BATCH):
                session.ask("DEL", *keys[at : at + content.BATCH])

    def _keys(self, ctx: Context, kind: str = "canary:") -> list[list[bytes]]:
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            return list(content.names(session, f"{content.OWN}{ctx.run_id}:{kind}*"))


def _prefix(ctx: Context) -> str:
    return f"{content.OWN}{ctx.run_id}:canary:"


class _Writer(ConnectedWriter[Any]):
    """Writer of keys over one connection."""

    ERRORS = (RedisError, HostError, CouldNotVerify, OSError)

    def __init__(self, ctx: Context, service: Redis, timeout: float) -> None:
        super().__init__()
        self._ctx, self._service, self._timeout = ctx, service, timeout

    def write(self, number: int) -> Lost | None:
        """Set the key ``number`` and wait until the server acknowledges the write."""
        try:
            line = self.session()
        except self.ERRORS as error:
            self.close()
            return Lost(reason(error), doubt=False)
        try:
            line.send_command("SET", f"{_prefix(self._ctx)}{number}", number)
            line.read_response()
        except ResponseError as error:
            return Lost(reason(error), doubt=False)
        except (RedisError, CouldNotVerify, OSError) as error:
            self.close()
            return Lost(reason(error), doubt=True)
        return None

    def connect(self, way: ExitStack) -> Any:
        """Connect and log in within the probe's timeout."""
        address, port = way.enter_context(self._ctx.reach(self._service))
        password = self._service.password.reveal() if self._service.password else None
        line = opened(address, port, user=self._service.user, password=password, timeout=self._timeout)
        way.callback(line.disconnect)
        return line
