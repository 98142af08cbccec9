"""Runs SQL with the client program `mariadb` on the host of a service. The client reads the statements from its standard
input, and writes the rows as XML.

While the client runs, the password is in an options file of mode 0600. The password is never in the arguments or in the
environment.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import as_user, printable
from drillbook.systems.mariadb.service import Mariadb

Row = dict[str, str | None]
"""One row. The keys are the names of the columns, and the values are texts, or None for NULL."""
Fields = list[tuple[str, str | None]]
"""One row: pairs of a column name and a text value, in the order of the columns. Names may repeat."""
ON_PATH = 'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; exec "$@"'
"""Script that adds the `sbin` folders to PATH, and then runs a program. The PATH of ordinary users lacks these folders."""
_NO_SERVER = re.compile(r"ERROR (2002|2003|2005|2006|2013|1040|1129|1203|1226) ")
_FIELD = re.compile(r'<field name="([^"]*)"(?: xsi:nil="true" />|>(.*?)</field>)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of the result of one statement."""

    statement: str
    rows: list[Fields]


class SqlError(Exception):
    """Error of a statement or of the connection to the server. Its text is the message of the client program."""

    @property
    def lost(self) -> bool:
        """True when the client could not connect, or the connection broke."""
        return _NO_SERVER.search(str(self)) is not None


@dataclass(frozen=True, slots=True)
class Client:
    """Runner of the client program with the login of one service. Use ``connected`` to create one."""

    ctx: Context
    service: Mariadb
    options: str
    """Path of the options file with the password. It is empty when the service has no password."""

    def argv(self, *arguments: str, database: str = "") -> tuple[str, ...]:
        """Return the command line of the client, with ``arguments`` before the database name."""
        service = self.service
        place = (
            (f"--socket={service.socket}",)
            if service.socket
            else (f"--host={service.address}", f"--port={service.port}", "--protocol=tcp")
        )
        return (
            *program(service, "mariadb"),
            f"--defaults-file={self.options}" if self.options else "--no-defaults",
            *place,
            *((f"--user={service.user}",) if service.user else ()),
            "--default-character-set=utf8mb4",
            "--connect-timeout=10",
            *arguments,
            *((f"--database={database}",) if database else ()),
        )

    def results(self, sql: str, database: str = "") -> list[Result]:
        """Run statements and return their results. Stop at the first statement that fails.

        Raises SqlError when a statement fails, CouldNotVerify when the answer is too large or cannot be parsed, and
        HostError when the host cannot be used.
        """
        results, errors = self._run(sql, database)
        if errors:
            raise SqlError(errors)
        return results

    def forced(self, sql: str, database: str = "") -> tuple[list[Result], str]:
        """Run all statements, even if some of them fail. Return the results, and the text of the errors.

        Raises SqlError if the client cannot connect, or if the connection breaks before the last statement has ended.
        """
        results, errors = self._run(sql, database, "--force")
        if SqlError(errors).lost:
            raise SqlError(errors)
        return results, errors

    def answered(self, sql: str) -> tuple[list[Result], str]:
        """Run all statements as ``forced`` does, but also return the results that arrived before the connection broke.

        Raises SqlError only if the client cannot connect, or if the connection breaks before the first result.
        """
        results, errors = self._run(sql, "", "--force", "--unbuffered")
        if not results and SqlError(errors).lost:
            raise SqlError(errors)
        return results, errors

    def rows(self, sql: str, database: str = "") -> list[Row]:
        """Run one statement and return its rows. Raises the errors of ``results``."""
        answers = self.results(sql, database)
        return [dict(row) for row in answers[-1].rows] if answers else []

    def _run(self, sql: str, database: str, *arguments: str) -> tuple[list[Result], str]:
        sink = Answer(f"{self.service.name}: the answer of the server")
        words = self.argv("--xml", "--skip-reconnect", *arguments, database=database)
        user = "" if self.options else self.service.run_as
        output = self.ctx.run(
            *as_user(user), *words, stdin=f"{sql.strip().rstrip(';')};\n".encode("utf-8", "surrogateescape"), sink=sink
        )
        return parsed(sink.text), said(output.stderr) if not output.ok or b"ERROR " in output.stderr else ""


@contextmanager
def connected(ctx: Context, service: Mariadb) -> Iterator[Client]:
    """Yield a client for ``service`` that runs on the host of the service.

    Raises CouldNotVerify when the password cannot be written to an options file, and HostError when the host cannot be used.
    """
    there = replace(ctx, host=ctx.host_named(service.host))
    if service.password is None:
        yield Client(there, service, "")
        return
    with there.temporary(f"mariadb-{service.lock_name[:80]}") as folder:
        path = f"{folder}/client.cnf"
        there.host.put(options_file(service), path, mode=0o600)
        yield Client(there, service, path)


@contextmanager
def verifying(service: Mariadb) -> Iterator[None]:
    """Convert errors of the server or the host in the ``with`` block to CouldNotVerify."""
    try:
        yield
    except (SqlError, HostError) as error:
        raise CouldNotVerify(f"{service.name} could not be read: {error}") from error


def options_file(service: Mariadb) -> bytes:
    """Return the content of an options file with the password. Raises CouldNotVerify when the password has a line break."""
    password = service.password.reveal() if service.password else ""
    if re.search(r"[\n\r\0]", password):
        raise CouldNotVerify(
            f"the password of {service.name} contains a line break, which an options file cannot express",
            hint="set a password without a line break",
        )
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'[client]\npassword="{quoted}"\n'.encode("utf-8", "surrogateescape")


def program(service: Mariadb, name: str) -> tuple[str, ...]:
    """Return the first words of a command that runs a MariaDB program. The program is in the folder in the field `bin` of the
    service. If this field is empty, PATH is searched for the program.
    """
    return ("sh", "-c", ON_PATH, "sh", f"{service.bin.rstrip('/')}/{name}" if service.bin else name)


def said(stderr: bytes) -> str:
    """Return the error lines of the client's output, without the failed statement, which the client also prints."""
    lines = printable(stderr).splitlines()
    errors = [line for line in lines if line.startswith(("ERROR", "mariadb:", "sudo:", "sh:"))] or lines[-3:]
    return "; ".join(errors) or "the client ended with an error and printed nothing"


def parsed(xml: str) -> list[Result]:
    """Parse the XML output of the client into results. The client escapes ``<`` and ``>`` in values, so no value can look
    like a tag.
    """
    matches = re.findall(r'<resultset statement="([^"]*)"[^>]*>(.*?)</resultset>', xml, re.DOTALL)
    return [
        Result(html.unescape(statement), [_fields(row) for row in re.findall(r"<row>(.*?)</row>", rows, re.DOTALL)])
        for statement, rows in matches
    ]


def _fields(row: str) -> Fields:
    return [
        (html.unescape(match[1]), None if match[2] is None else html.unescape(match[2])) for match in _FIELD.finditer(row)
    ]


def name(identifier: str) -> str:
    """Quote an SQL identifier with backticks."""
    return "`" + identifier.replace("`", "``") + "`"


def text(value: str) -> str:
    """Write a text as an SQL literal of hexadecimal digits. Such a literal is valid in every SQL mode."""
    return f"CONVERT(x'{value.encode('utf-8', 'surrogateescape').hex()}' USING utf8mb4)" if value else "''"


def plain(value: str | None) -> Any:
    """Convert a value for use in facts. The result is an integer if JSON can represent it exactly, and otherwise a text
    with escaped control characters.
    """
    if value is not None and re.fullmatch(r"0|-?[1-9]\d{0,14}", value):
        return int(value)
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
