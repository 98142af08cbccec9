"""Access to a Docker engine with the Docker SDK: through a local socket, a URL, or the SSH connection to a host.

The API is that of docs.docker.com/reference/api/engine. For access through SSH, Drillbook runs ``docker system
dial-stdio`` on the host, as the program ``docker`` does. For this command, Drillbook uses the SSH connection to the
host that it already has.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady, StepFailed
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.deadline import Lines, bounded
from drillbook.sdk.host import Deadline, Host, Piped, printable
from drillbook.sdk.service import Service
from drillbook.systems.docker.service import Container

SOCKET = "unix:///var/run/docker.sock"
LONGEST_S = 120.0
PIECE = 1 << 16
SPARE_S = 3.0
"""Seconds at the end of a step's time. They are reserved for killing a container that did not exit in time."""
OLDEST = "1.41"
"""API version of Docker 20.10. It is used until the engine has reported its own version."""
ONE_OFF = "com.docker.compose.oneoff"
"""Label that Compose sets to `True` on a container made by `docker compose run`. Such a container belongs to no service."""
PROJECT, OF_PROJECT, NEEDS = "com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.depends_on"
"""Labels that Compose sets on a container: its project, its service, and the services on which it depends."""


@dataclass(frozen=True, slots=True)
class Place:
    """Address of a service's container: the URL of the engine, and the name of the container. An empty URL means the
    engine on the service's host.
    """

    service: Service
    engine: str
    container: str


def place(ctx: Context, name: str) -> Place:
    """Return the address of the container of the service ``name``. Raises NotReady when the service is not a container."""
    service = ctx.service(name, Service)
    if isinstance(service, Container):
        return Place(service, service.engine, service.container)
    if service.unit and ctx.host_named(service.host).target.manager.kind == "docker":
        return Place(service, "", service.unit)
    raise NotReady(
        f"the service {name!r} is not a container according to the inventory",
        hint="set the `kind` of the service to container, or set its `unit` and a host with `manager: {kind: docker}`",
    )


class Engine:
    """Connection to a Docker engine. It is open for the duration of one action."""

    def __init__(self, client: Any, where: str) -> None:
        """Wrap ``client``, a DockerClient. ``where``: name of the engine in messages."""
        self.client = client
        self.where = where

    def container(self, name: str) -> Any:
        """Return the container with that name or id, in its present state. Raises CouldNotVerify when it does not exist."""
        from docker.errors import NotFound  # noqa: PLC0415  slow to load

        try:
            return self.client.containers.get(name)
        except NotFound:
            raise CouldNotVerify(
                f"{self.where}: there is no container {name!r}",
                hint="check the service in the inventory; `docker ps -a` lists all containers",
            ) from None


@contextmanager
def engine(ctx: Context, where: Place) -> Iterator[Engine]:
    """Open a connection to the Docker engine of a service's container, until the ``with`` block ends.

    Raises CouldNotVerify when the engine does not answer in time, and StepFailed when it refuses a request.
    """
    from docker.errors import APIError, DockerException  # noqa: PLC0415  slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415  slow to load

    host = ctx.host_named(where.service.host)
    name = where.engine or f"the engine of {host.name}"
    client = None
    lines = Lines(ctx.deadline)
    try:
        client = bounded(
            lambda: _client(host, where.engine, ctx.deadline), ctx.deadline, late=lambda late: late.close(), what=name
        )
        _end_with(lines, client.api)
        _bounded_answers(client.api, name)
        # Query the version here, since the constructor would leave the connection open on an error.
        client.api._version = client.version(api_version=False)["ApiVersion"]
        yield Engine(client, name)
    except DrillbookError:
        raise
    except APIError as error:
        raise StepFailed(f"{name} refuses the request: {_reason(error)}") from error
    except (DockerException, RequestException, OSError, EOFError) as error:
        ctx.deadline.check(name)
        raise CouldNotVerify(
            f"{name} does not answer: {_reason(error)}",
            hint=("check that the engine runs on its host (`docker version`), and that this user may access its socket"),
        ) from error
    finally:
        lines.close()
        if client is not None:
            client.close()


def _end_with(lines: Lines, api: Any) -> None:
    """Arrange that the connections of the SDK's session ``api`` are closed at the deadline.

    For this purpose, each new connection (a socket or an SSH channel) is added to ``lines``.
    """

    def watched(make: Callable[[], Any]) -> Any:
        connection = make()
        connect = connection.connect

        def connected() -> None:
            connect()
            lines.add(connection.sock)

        connection.connect = connected
        return connection

    def pool_of(find: Callable[..., Any], *given: Any, **named: Any) -> Any:
        pool = find(*given, **named)
        if not isinstance(pool._new_conn, partial):
            pool._new_conn = partial(watched, pool._new_conn)
        return pool

    adapter = api.get_adapter(api.base_url)
    for name in ("get_connection", "get_connection_with_tls_context"):
        setattr(adapter, name, partial(pool_of, getattr(adapter, name)))


def _bounded_answers(api: Any, where: str) -> None:
    """Limit the size of each answer that the SDK's session ``api`` reads into memory. Streamed answers have no limit."""
    send = api.send

    def sent(request: Any, *, stream: bool = False, **options: Any) -> Any:
        answer = send(request, stream=True, **options)
        if not stream:
            budget, data = Budget(f"an answer of {where}"), bytearray()
            with closing(answer):
                for piece in pieces(answer):
                    budget.take_json(piece)
                    data += piece
            answer._content, answer._content_consumed = bytes(data), True
        return answer

    api.send = sent


def pieces(answer: Any) -> Iterator[bytes]:
    """Yield the raw body of ``answer`` in pieces. Raises RequestException when the connection breaks.

    The body is never decompressed. Engines do not compress their answers, and a small compressed body of another server
    could become very large.
    """
    from requests.exceptions import ChunkedEncodingError  # noqa: PLC0415  slow to load
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  slow to load

    try:
        yield from answer.raw.stream(PIECE, decode_content=False)
    except HTTPError as error:
        raise ChunkedEncodingError(error) from error


@contextmanager
def container_of(ctx: Context, name: str) -> Iterator[Any]:
    """Yield the container of the service ``name`` as an object of the Docker SDK. The connection to its engine is open
    during the ``with`` block.

    Raises NotReady when the service is not a container. Raises CouldNotVerify when the container does not exist, or when the
    engine does not answer in time. Raises StepFailed when the engine refuses a request."""
    where = place(ctx, name)
    with engine(ctx, where) as connection:
        yield connection.container(where.container)


def _client(host: Host, url: str, deadline: Deadline) -> Any:
    import docker  # noqa: PLC0415  slow to load

    deadline.check()
    timeout = max(0.5, min(LONGEST_S, deadline.remaining()))
    if url or host.target.local:
        if (url or SOCKET).startswith("unix://"):
            _knock((url or SOCKET).removeprefix("unix://"), timeout)
        return docker.DockerClient(base_url=url or SOCKET, version=OLDEST, timeout=timeout)
    if not isinstance(host, Piped):
        raise CouldNotVerify(
            f"{host.name}: its Docker engine cannot be reached through this kind of connection",
            hint="set `engine` of the service in the inventory",
        )
    return _through(host, timeout)


def _knock(path: str, timeout: float) -> None:
    """Connect to the socket ``path`` once. Raises OSError when no program listens there.

    Without this test, the SDK would leak a socket when no program listens.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout)
        probe.connect(path)


def _through(host: Piped, timeout: float) -> Any:
    """Return a Docker client. Each of its connections is a command ``docker system dial-stdio`` that runs on ``host``."""
    import docker  # noqa: PLC0415  slow to load
    from docker.transport.sshconn import SSHConnectionPool, SSHHTTPAdapter  # noqa: PLC0415  slow to load

    pool = SSHConnectionPool(ssh_client=_Dialer(host), timeout=timeout)

    class Adapter(SSHHTTPAdapter):  # type: ignore[misc]  # the SDK has no types
        """The SDK's adapter for HTTP requests over SSH. This version uses Drillbook's existing connection to a host."""

        def get_connection(self, url: str, proxies: object = None) -> Any:
            return pool

    client = docker.DockerClient(base_url=SOCKET, version=OLDEST, timeout=timeout)  # the constructor does not connect yet
    adapter = Adapter("ssh://", timeout=timeout, shell_out=True)
    client.api.base_url = "http+docker://ssh"  # by this address, the SDK recognises an SSH channel
    client.api.mount("http+docker://ssh", adapter)
    client.api._custom_adapter = adapter  # closing the client then closes the adapter, too
    return client


class _Dialer:
    """Replacement for the SSH client and the transport of paramiko. It has only the methods that the Docker SDK calls."""

    def __init__(self, host: Piped) -> None:
        self._host = host

    def get_transport(self) -> _Dialer:
        return self

    def open_session(self) -> _Line:
        sudo = ("sudo", "-n") if self._host.target.manager.sudo else ()
        return _Line(self._host.pipe((*sudo, "docker", "system", "dial-stdio"), deadline=Deadline.after(LONGEST_S)))


class _Line:
    """An SSH channel on which the command ``docker system dial-stdio`` already runs."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def exec_command(self, command: str) -> None:
        """Do nothing, because the command ``docker system dial-stdio`` already runs on this channel."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def _reason(error: BaseException) -> str:
    said = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return printable(" ".join(str(said).split()), limit=400)


def status_of(container: Any) -> str:
    """Return the state that a container had at its last ``reload``, such as ``running``, ``paused`` or ``exited``."""
    return str(container.attrs["State"]["Status"])


def grace(ctx: Context, seconds: float) -> int:
    """Return the number of whole seconds to wait until a container exits. After this time it is killed.

    The result is ``seconds``, or less if the step's deadline is near.
    """
    return round(max(0.0, min(seconds, ctx.deadline.remaining() - SPARE_S)))


def passing(container: Any) -> str:
    """Return the reason why a container cannot be started again after a stop. It is empty when the container can be started
    again.

    The engine removes a container made with ``--rm`` when it exits
    (docs.docker.com/reference/cli/docker/container/run/#rm).
    """
    if container.attrs["HostConfig"].get("AutoRemove"):
        return (
            f"{container.name} was created with --rm, so the engine removes it when it stops, and it could not be "
            "started again"
        )
    return ""
