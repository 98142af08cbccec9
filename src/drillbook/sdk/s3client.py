"""Creates boto3 clients for an S3 service.

The connections of a client are closed at the step's deadline, and the size of answers is limited.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.deadline import Lines
from drillbook.sdk.host import Deadline
from drillbook.sdk.service import S3

MOST_ANSWER = 8 << 20
"""Maximum size of an XML answer in bytes. The limit is needed because an answer needs up to thirty times its size in memory.

The limit is large enough for one page of a list, which has up to 1,000 keys.
"""
PIECE = 1 << 16

_MAKING = threading.Lock()
"""Lock that is held while a client is created. Clients of boto3 are thread-safe, but sessions of boto3 are not."""


@cache
def _session() -> Any:
    """Return the boto3 session that all clients share. With one session, boto3 reads its service description only once."""
    import boto3  # noqa: PLC0415  slow to load

    return boto3.session.Session()


def made(service: S3, deadline: Deadline, where: str) -> tuple[Any, Lines]:
    """Create a client for ``service``.

    Returns the client and its connections. ``where``: name of the store in errors. Raises SecretError when the secret of the
    store cannot be read.
    """
    from botocore.config import Config  # noqa: PLC0415  slow to load

    config = Config(
        signature_version="s3v4",
        proxies={},
        connect_timeout=3,
        read_timeout=30,
        tcp_keepalive=True,
        retries={"max_attempts": 3, "mode": "standard"},
        s3={"addressing_style": "path"},
        max_pool_connections=16,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _MAKING:
        client = _session().client(
            "s3",
            endpoint_url=service.endpoint,
            region_name=service.region,
            config=config,
            aws_access_key_id=service.access_key.reveal(),
            aws_secret_access_key=service.secret_key.reveal(),
        )
    for event in ("before-send.s3", "needs-retry.s3"):
        client.meta.events.register_first(event, lambda **_: deadline.check(where))
    return client, _guarded(client, deadline, where)


def _guarded(client: Any, deadline: Deadline, where: str) -> Lines:
    """Close every connection of ``client`` at the deadline, and limit the size of each XML answer. The content of objects is not
    limited. Returns the connections.
    """
    from botocore.awsrequest import (  # noqa: PLC0415  slow to load
        AWSHTTPConnection,
        AWSHTTPConnectionPool,
        AWSHTTPSConnection,
        AWSHTTPSConnectionPool,
    )

    lines = Lines(deadline)

    def guarded(pool: Any, connection: Any) -> Any:
        class Connection(connection):  # type: ignore[misc]  # the library has no types
            def connect(self) -> None:
                super().connect()
                lines.add(self.sock)

        class Pool(pool):  # type: ignore[misc]  # the library has no types
            ConnectionCls = Connection

            def urlopen(self, *given: Any, **named: Any) -> Any:
                answer = super().urlopen(*given, **named)
                answer.stream = partial(_read_whole, answer, f"an answer of {where}")
                return answer

        return Pool

    manager = client._endpoint.http_session._manager
    manager.pool_classes_by_scheme = {
        "http": guarded(AWSHTTPConnectionPool, AWSHTTPConnection),
        "https": guarded(AWSHTTPSConnectionPool, AWSHTTPSConnection),
    }
    return lines


def _read_whole(answer: Any, what: str, *given: Any, **named: Any) -> Iterator[bytes]:
    """Yield the chunks of an XML answer up to the size limit. Not used for the content of objects.

    Raises CouldNotVerify when the answer is larger.
    """
    budget = Budget(what, MOST_ANSWER)
    while piece := answer.read(PIECE):
        budget.take(len(piece))
        yield piece
