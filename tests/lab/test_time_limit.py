"""No wait for abandoned work: checks of the API while its database accepts statements and answers nothing."""

import asyncio
import gc
import logging
import time

import psycopg
import pytest

from drillbook.lab.app import time_limit
from drillbook.lab.layout import ADDRESS, DATABASE

PATIENCE = 60.0


async def cut_in_mid_statement(lab, seconds):
    """Return True when a statement still runs after it was abandoned; it was sent before the path to the server was cut."""
    control = lab.relays / "postgres"
    url = f"postgresql://{DATABASE}:{lab.secret('pg_app')}@{ADDRESS}:{lab.port('relay.postgres')}/{DATABASE}"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        relayed = connection.info.backend_pid
        statement = connection.execute("SELECT pg_sleep(600)")
        control.write_text("drop")
        try:
            while await reached(lab):
                await asyncio.sleep(0.02)
            with pytest.raises(TimeoutError):
                await time_limit.within(seconds, statement)
            return bool(time_limit._abandoned)
        finally:
            control.unlink()
            await over(lab, relayed)


async def reached(lab):
    reader, writer = await asyncio.open_connection(ADDRESS, lab.port("relay.postgres"))
    try:
        writer.write(bytes((0, 0, 0, 8, 4, 210, 22, 47)))  # SSLRequest; answered with one byte
        await asyncio.wait_for(reader.read(1), 0.3)
        return True
    except TimeoutError:
        return False
    finally:
        writer.transport.abort()


async def over(lab, pid):
    """The server is notified as soon as the path is open again."""
    async with await psycopg.AsyncConnection.connect(
        host=ADDRESS,
        port=lab.port("postgres.db-1"),
        dbname=DATABASE,
        user="postgres",
        password=lab.secret("pg_admin"),
        autocommit=True,
    ) as admin:
        end = time.monotonic() + PATIENCE
        while await (
            await admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'", (pid,))
        ).fetchone():
            assert time.monotonic() < end, "the statement goes on"
            await asyncio.sleep(0.05)


def test_a_statement_that_is_given_up_holds_nobody(lab):
    assert asyncio.run(cut_in_mid_statement(lab, 0.3)), "it waited for psycopg's own cancellation, for 5 to 10 s"


def test_what_work_returns_and_raises_comes_through():
    async def answer():
        return 42

    async def fail():
        raise LookupError("no")

    async def outer():
        assert await time_limit.within(PATIENCE, answer()) == 42
        with pytest.raises(LookupError, match="no"):
            await time_limit.within(PATIENCE, fail())

    asyncio.run(outer())


def test_what_fails_when_nobody_waits_any_more_is_not_complained_of(caplog):
    async def stubborn():
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            raise LookupError("too late")

    async def outer():
        with pytest.raises(TimeoutError):
            await time_limit.within(0.01, stubborn())
        await asyncio.wait(time_limit._abandoned)

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(outer())
        gc.collect()
    assert caplog.records == []


def test_whoever_waits_and_is_stopped_stops_the_work_too():
    ended = []

    async def work():
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            ended.append(True)

    async def outer():
        waiting = asyncio.ensure_future(time_limit.within(PATIENCE, work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(outer())
    assert ended == [True]
