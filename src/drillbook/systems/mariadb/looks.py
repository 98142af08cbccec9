"""Recognises servers of MariaDB on a host."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.sdk.looks import Entry, Look, Recognised, server_fields


class MariadbLook(Look):
    """Servers of MariaDB."""

    PROGRAMS = ("mariadbd",)
    RISK = 2

    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines of a server."""
        yield from server_fields(service, entry)


LOOKS = {"mariadb": MariadbLook()}
