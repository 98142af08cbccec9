"""An engine, through the Docker SDK: on this machine's socket, by a URL, or through the SSH of the service's host.

The API is that of docs.docker.com/reference/api/engine. Over SSH it is carried by ``docker system dial-stdio`` on the host,
as the ``docker`` program itself does, in the connection that Drillbook has to the host already.
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
from drillbook.sdk.answers import Budget
from drillbook.sdk.deadline import Lines, bounded
from drillbook.sdk.host import Deadline, Host, Piped, printable
from drillbook.sdk.service import Service
from drillbook.systems.docker.service import Container

SOCKET = "unix:///var/run/docker.sock"
LONGEST_S = 120.0
PIECE = 1 << 16
SPARE_S = 3.0
"""What a step keeps of its time to see a container killed that did not end by itself."""
OLDEST = "1.41"
"""The API of Docker 20.10, until the engine has said which it speaks."""
ONE_OFF = "com.docker.compose.oneoff"
"""Label of Compose: `True` on a container of `docker compose run`, which is none of the service's own."""
PROJECT, OF_PROJECT, NEEDS = "com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.depends_on"
"""Labels that Compose puts on a container: its project, its service there, and the services that it is started after."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the container of a service is: the engine's URL, empty for that of the service's host, and its name there."""

    service: Service
    engine: str
    container: str


def place(ctx: Context, name: str) -> Place:
    """Where the container of the service ``name`` is. Raises NotReady when the inventory does not say."""
    service = ctx.service(name, Service)
    if isinstance(service, Container):
        return Place(service, service.engine, service.container)
    if service.unit and ctx.host_named(service.host).target.manager.kind == "docker":
        return Place(service, "", service.unit)
    raise NotReady(
        f"the service {name!r} is no container, as far as the inventory says",
        hint="give it `kind: container`, or a `unit` on a host with `manager: {kind: docker}`",
    )


class Engine:
    """One engine while an action uses it."""

    def __init__(self, client: Any, where: str) -> None:
        """``client`` is a DockerClient; ``where`` names the engine in messages."""
        self.client = client
        self.where = where

    def container(self, name: str) -> Any:
        """The container of that name or id, as it is now. Raises CouldNotVerify when there is none."""
        from docker.errors import NotFound  # noqa: PLC0415  slow to import

        try:
            return self.client.containers.get(name)
        except NotFound:
            raise CouldNotVerify(
                f"{self.where}: there is no container {name!r}",
                hint="check the service in the inventory; `docker ps -a` lists what there is",
            ) from None


@contextmanager
def engine(ctx: Context, where: Place) -> Iterator[Engine]:
    """The engine of a service. Raises CouldNotVerify when it does not answer in time, StepFailed when it refuses."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415  slow to import
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
        client.api._version = client.version(api_version=False)["ApiVersion"]  # not in its making: it would not be closed
        yield Engine(client, name)
    except DrillbookError:
        raise
    except APIError as error:
        raise StepFailed(f"{name} refuses: {_reason(error)}") from error
    except (DockerException, RequestException, OSError, EOFError) as error:
        ctx.deadline.check(name)
        raise CouldNotVerify(
            f"{name} does not answer: {_reason(error)}",
            hint=("see whether it runs there (`docker version`), and whether this user may use its socket"),
        ) from error
    finally:
        lines.close()
        if client is not None:
            client.close()


def _end_with(lines: Lines, api: Any) -> None:
    """Let ``lines`` end every connection that the SDK's session ``api`` makes: sockets, and channels of SSH."""

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
    """Give each answer a budget that the SDK's session ``api`` reads whole; what is streamed has none."""
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
    """The body of ``answer`` as it came: no engine compresses it, and unpacked few bytes could be large.

    Raises RequestException.
    """
    from requests.exceptions import ChunkedEncodingError  # noqa: PLC0415  slow to import
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  slow to load

    try:
        yield from answer.raw.stream(PIECE, decode_content=False)
    except HTTPError as error:
        raise ChunkedEncodingError(error) from error


@contextmanager
def container_of(ctx: Context, name: str) -> Iterator[Any]:
    """The container of the service ``name``, the SDK's, while its engine is asked. Raises as ``place`` and ``engine`` do."""
    where = place(ctx, name)
    with engine(ctx, where) as one:
        yield one.container(where.container)


def _client(host: Host, url: str, deadline: Deadline) -> Any:
    import docker  # noqa: PLC0415  slow to import

    deadline.check()
    timeout = max(0.5, min(LONGEST_S, deadline.remaining()))
    if url or host.target.local:
        if (url or SOCKET).startswith("unix://"):
            _knock((url or SOCKET).removeprefix("unix://"), timeout)
        return docker.DockerClient(base_url=url or SOCKET, version=OLDEST, timeout=timeout)
    if not isinstance(host, Piped):
        raise CouldNotVerify(f"{host.name}: its engine cannot be reached through it", hint="give the service an `engine`")
    return _through(host, timeout)


def _knock(path: str, timeout: float) -> None:
    """Raise OSError when nobody listens there: the SDK would leave its socket open."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout)
        probe.connect(path)


def _through(host: Piped, timeout: float) -> Any:
    """A client whose connections are commands on ``host``."""
    from docker.transport.sshconn import SSHConnectionPool, SSHHTTPAdapter  # noqa: PLC0415  slow to load

    import docker  # noqa: PLC0415  slow to import

    pool = SSHConnectionPool(ssh_client=_Dialer(host), timeout=timeout)

    class Adapter(SSHHTTPAdapter):  # type: ignore[misc]  # the SDK has no types
        """The SDK's way over SSH, in a connection that is there already."""

        def get_connection(self, url: str, proxies: object = None) -> Any:
            return pool

    client = docker.DockerClient(base_url=SOCKET, version=OLDEST, timeout=timeout)  # contacts nobody yet
    adapter = Adapter("ssh://", timeout=timeout, shell_out=True)
    client.api.base_url = "http+docker://ssh"  # by this it knows below an answer a channel from a socket
    client.api.mount("http+docker://ssh", adapter)
    client.api._custom_adapter = adapter  # it is closed with the client
    return client


class _Dialer:
    """What the SDK takes for an SSH client and its transport."""

    def __init__(self, host: Piped) -> None:
        self._host = host

    def get_transport(self) -> _Dialer:
        return self

    def open_session(self) -> _Line:
        sudo = ("sudo", "-n") if self._host.target.manager.sudo else ()
        return _Line(self._host.pipe((*sudo, "docker", "system", "dial-stdio"), deadline=Deadline.after(LONGEST_S)))


class _Line:
    """A channel on which the command runs already."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def exec_command(self, command: str) -> None:
        """Nothing is left to do."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def _reason(error: BaseException) -> str:
    said = getattr(error, "explanation", None) or str(error) or type(error).__name__
    return printable(" ".join(str(said).split()), limit=400)


def status_of(container: Any) -> str:
    """One word for its state: ``running``, ``paused``, ``exited`` and so on, after what ``reload`` brought."""
    return str(container.attrs["State"]["Status"])


def grace(ctx: Context, seconds: float) -> int:
    """How many whole seconds a container may take to end: ``seconds``, or less when the step's time is over before."""
    return round(max(0.0, min(seconds, ctx.deadline.remaining() - SPARE_S)))


def passing(container: Any) -> str:
    """Why a container cannot be started again once it has ended; empty: it can.

    The engine removes one made with ``--rm`` when it ends (docs.docker.com/reference/cli/docker/container/run/#rm).
    """
    if container.attrs["HostConfig"].get("AutoRemove"):
        return f"{container.name} was made with --rm, so it is gone once it ends, and nothing starts it again"
    return ""
