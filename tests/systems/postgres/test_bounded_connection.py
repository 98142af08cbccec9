"""Fake PostgreSQL server with endless answers."""

import itertools
import re
import struct

import pytest

from tests.hostile import MIB, asked, flood

MOST_MIB = 450
POSTGRES = """
from drillbook.systems.postgres.connection import connected
service = discovery.service_class("postgres")(name="database", host="db-1", unit="", port=port, database="d", user="u", admin={"user": "a"},
                            data_directory="/d")
ctx = context(service, seconds=12)
"""
ASK = """with connected(ctx, service) as session:
    session.execute("SELECT 1").fetchall()"""


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


READY = message(b"R", struct.pack("!I", 0)) + message(b"Z", b"I")
COLUMN = (
    message(b"1")
    + message(b"2")
    + message(b"T", struct.pack("!H", 1) + b"c\0" + struct.pack("!IHIHIH", 0, 0, 25, 65535, 0, 0))
)
ROW = message(b"D", struct.pack("!HI", 1, 100) + b"x" * 100)
EMPTY = message(b"D", struct.pack("!Hi", 1, -1))
NOTICE = message(b"N", b"SNOTICE\0Mlook\0\0")
VALUE = message(b"D", struct.pack("!HI", 1, 1 << 20) + b"x" * MIB)


def server(begin, unit, *, greeting=b""):
    """Server that accepts every login after ``greeting``, and answers with ``begin``, and endlessly with ``unit``."""

    def talk(line):
        while (first := line.recv(65536))[4:8] in (struct.pack("!I", 80877103), struct.pack("!I", 80877104)):
            line.sendall(b"N")
        assert first
        if greeting:
            line.sendall(message(b"R", struct.pack("!I", 0)))
            flood(line, greeting)
        line.sendall(READY)
        line.recv(65536)
        line.sendall(begin)
        flood(line, unit)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        server(COLUMN, ROW),
        server(COLUMN, EMPTY),
        server(COLUMN, VALUE),
        server(b"", NOTICE),
        server(COLUMN + b"D" + struct.pack("!IHI", 1_500_000_010, 1, 1_500_000_000), b"x"),
        server(b"E" + struct.pack("!I", 1_500_000_000) + b"SERROR\0M", b"x"),
    ],
    ids=["rows", "empty rows", "large rows", "notices", "value", "error"],
)
def test_an_endless_answer_of_postgresql_is_cut_off(talk):
    said, grown, _ = asked(talk, POSTGRES, ASK)
    assert re.match(
        r"CouldNotVerify: an answer of the server at 127\.0\.0\.1:\d+ is larger than the limit of 33554432 bytes", said
    ), said
    assert grown < MOST_MIB


def test_an_endless_greeting_of_postgresql_is_cut_off():
    said, grown, _ = asked(server(b"", b"", greeting=message(b"S", b"a\0b\0")), POSTGRES, ASK)
    assert said.startswith(
        "CouldNotVerify: the server's output before the login is larger than the limit of 1048576 bytes"
    ), said
    assert grown < MOST_MIB


def test_rows_that_are_streamed_have_no_limit_together():
    """Two hundred MiB, row by row."""

    def talk(line):
        pieces = itertools.chain(
            [COLUMN], itertools.repeat(VALUE, 200), [message(b"C", b"SELECT 200\0") + message(b"Z", b"I")]
        )
        while (line.recv(65536))[4:8] in (struct.pack("!I", 80877103), struct.pack("!I", 80877104)):
            line.sendall(b"N")
        line.sendall(READY)
        line.recv(65536)
        for piece in pieces:
            line.sendall(piece)
        line.recv(65536)

    said, grown, _ = asked(
        talk,
        POSTGRES,
        "with connected(ctx, service) as session, session.cursor() as cursor:\n"
        '    assert sum(len(row[0]) for row in cursor.stream("SELECT 1")) == 200 << 20',
    )
    assert said == "an answer"
    assert grown < 100
