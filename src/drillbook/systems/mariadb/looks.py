"""Recognises servers of MariaDB on a host."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.sdk.looks import Entry, Look, Recognised, server_fields


class MariadbLook(Look):
    """Recognition of MariaDB servers on a host."""

    PROGRAMS = ("mariadbd",)
    RISK = 2

    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines that describe a server in the inventory."""
        yield from server_fields(service, entry)


LOOKS = {"mariadb": MariadbLook()}
