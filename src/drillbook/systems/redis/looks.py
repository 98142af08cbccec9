"""Recognises servers of Redis and Valkey on a host."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.sdk.looks import Entry, Look, Recognised, server_fields


class RedisLook(Look):
    """Servers of Redis and Valkey."""

    PROGRAMS = ("redis-server", "valkey-server")
    RISK = 1

    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines that describe a server in the inventory. One of them is `reach: ssh`: the controller connects to it
        by SSH.
        """
        yield "reach: ssh"
        yield from server_fields(service, entry)


LOOKS = {"redis": RedisLook()}
