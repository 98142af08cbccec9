"""The PostgreSQL canary with real servers that are killed, stopped, closed and restored."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.probe import find_probe
from tests.processes import suspend
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, secret
from tests.systems.refusals import refused_until
from tests.waiting import until

place, primary, target = fixtures.place, fixtures.primary, fixtures.target


@pytest.fixture
def ctx(place):
    return place.context(step="probe.1")


def canary(name="primary", **options):
    return find_probe("postgres.canary").model_validate({"service": name, **options})


@pytest.fixture
def probe(place, primary, ctx):
    made = canary(timeout="500ms")
    made.prepare(ctx)
    yield made
    made.clean(ctx)


def write(writer, numbers):
    """Numbers of acknowledged, refused and uncertain writes."""
    acknowledged, refused, doubt = [], [], []
    for number in numbers:
        lost = writer.write(number)
        (acknowledged if lost is None else doubt if lost.doubt else refused).append(number)
    return acknowledged, refused, doubt


def test_what_is_acknowledged_is_there(place, primary, ctx, probe):
    writer = probe.writer(ctx)
    assert write(writer, range(1, 51)) == (list(range(1, 51)), [], [])
    assert list(probe.survivors(ctx)) == list(range(1, 51))
    writer.close()
    writer.close()


def test_it_writes_as_the_application_does(place, primary, ctx, probe):
    writer = probe.writer(ctx)
    assert writer.write(1) is None
    users = primary.sql("SELECT usename FROM pg_stat_activity WHERE application_name = 'drillbook-canary'")
    assert users == [("clerk",)]
    writer.close()


def grows(numbers):
    """Wait until the writer has added some more."""
    known = len(numbers)
    until(lambda: len(numbers) >= known + 20, "more writes")


def test_a_kill_in_the_middle_loses_nothing_that_was_acknowledged(place, primary, ctx, probe):
    """Every acknowledged row survives, every refused one is absent; uncertain ones may be either."""
    results = {"acknowledged": [], "refused": [], "doubt": []}
    over = threading.Event()

    def go_on():
        writer, number = probe.writer(ctx), 0
        while not over.is_set():
            number += 1
            for kind, numbers in zip(results, write(writer, [number]), strict=True):
                results[kind] += numbers
            time.sleep(0.002)
        writer.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for _ in range(3):
            grows(results["acknowledged"])
            primary.kill()
            grows(results["refused"])
            primary.start()
        grows(results["acknowledged"])
    finally:
        over.set()
        thread.join()
    there = set(probe.survivors(ctx))
    assert len(results["acknowledged"]) > 50
    assert results["refused"]
    assert set(results["acknowledged"]) <= there
    assert not set(results["refused"]) & there
    assert there <= set(results["acknowledged"]) | set(results["doubt"])
    assert len(results["doubt"]) <= 3


def test_a_server_that_hangs_is_in_doubt_in_time(place, primary, ctx, probe):
    writer = probe.writer(ctx)
    assert writer.write(1) is None
    backend = primary.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'drillbook-canary'")[0][0]
    suspend(backend)
    begun = time.monotonic()
    lost = writer.write(2)
    assert time.monotonic() - begun > 0.4
    assert lost is not None
    assert lost.doubt
    assert "0.5 s" in lost.reason
    assert writer.write(3) is None
    os.kill(backend, signal.SIGCONT)
    until(lambda: set(probe.survivors(ctx)) >= {1, 3})
    writer.close()


def test_a_write_that_waits_for_a_lock_is_refused_and_absent(place, primary, ctx, probe):
    writer = probe.writer(ctx)
    assert writer.write(1) is None
    with primary.connect() as session, session.transaction():
        session.execute("LOCK TABLE drillbook.canary IN ACCESS EXCLUSIVE MODE")
        lost = writer.write(2)
    assert lost is not None
    assert not lost.doubt
    assert "within 0.5 s" in lost.reason
    assert writer.write(3) is None
    assert list(probe.survivors(ctx)) == [1, 3]
    writer.close()


def test_nobody_listens(place, primary, target, ctx):
    writer = canary(target.service.name).writer(ctx)
    lost = writer.write(1)
    assert lost is not None
    assert not lost.doubt
    writer.close()
    with pytest.raises(CouldNotVerify):
        canary(target.service.name).survivors(ctx)
    with pytest.raises(NotReady):
        canary(target.service.name).prepare(ctx)


def test_connecting_to_a_deaf_server_ends(place, target, ctx):
    with socket.create_server(("127.0.0.1", target.service.port)):
        writer = canary(target.service.name, timeout="300ms").writer(ctx)
        lost = writer.write(1)
    assert lost is not None
    assert not lost.doubt
    writer.close()


def test_loss_and_recovery_are_counted_one_by_one(place, primary, target, ctx, probe):
    """Rows from before the snapshot survive, later ones do not, and a closed database refuses the canary."""
    writer = probe.writer(ctx)
    write(writer, range(1, 21))
    facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/canary")
    write(writer, range(21, 41))
    name = target.service.name
    place.run("postgres.restore", service=name, closed=True, **{"from": facts["location"]})
    there = canary(name)
    assert list(there.survivors(ctx)) == list(range(1, 21))
    other = there.writer(ctx)
    lost = other.write(41)
    assert lost is not None
    assert not lost.doubt
    place.run("postgres.admit", service=name)
    assert other.write(42) is None
    assert list(there.survivors(ctx)) == [*range(1, 21), 42]
    place.run("postgres.matches", service=name, manifest=facts["manifest"])
    there.clean(ctx)
    other.close()
    writer.close()


def test_it_leaves_nothing_behind(place, primary, ctx):
    probe, other = canary(), place.context()
    probe.prepare(ctx)
    probe.prepare(other)
    for context in (ctx, other):
        writer = probe.writer(context)
        assert writer.write(1) is None
        writer.close()
    probe.clean(ctx)
    assert list(probe.survivors(other)) == [1]
    assert list(probe.survivors(ctx)) == []
    probe.clean(other)
    assert primary.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'drillbook'") == []
    assert list(probe.survivors(ctx)) == []
    probe.clean(ctx)


@pytest.mark.parametrize("statements", [["CREATE SCHEMA drillbook"], []], ids=["schema alone", "nothing"])
def test_cleaning_again_removes_what_a_killed_one_left(place, primary, ctx, statements):
    if statements:
        primary.sql(*statements)
    canary().clean(ctx)
    assert primary.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'drillbook'") == []


def test_it_keeps_a_schema_that_holds_something_else(place, primary, ctx):
    primary.sql("CREATE SCHEMA drillbook", "CREATE TABLE drillbook.mine (a int)")
    probe = canary()
    probe.prepare(ctx)
    probe.clean(ctx)
    assert primary.sql("SELECT relname FROM pg_class WHERE relnamespace = 'drillbook'::regnamespace") == [("mine",)]
    primary.sql("DROP SCHEMA drillbook CASCADE")


def test_a_standby_is_refused_in_words(place, primary, target, ctx):
    subprocess.run(
        [
            f"{primary.service.bin}/pg_basebackup",
            "-D",
            str(target.data),
            "-R",
            "-h",
            "127.0.0.1",
            "-p",
            str(primary.service.port),
            "-U",
            "postgres",
            "-c",
            "fast",
        ],
        check=True,
        env={**os.environ, "PGPASSWORD": os.environ["TEST_PG_ADMIN"]},
    )
    with (target.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"port = {target.service.port}\nunix_socket_directories = '{target.data.parent}'\n")
    target.start()
    dump = place.action("postgres.dump", service=target.service.name, to=f"s3://{BUCKET}/x")
    with pytest.raises(NotReady, match="is a standby: a canary can write only to a primary"):
        canary(target.service.name).prepare(ctx)
    refused_until(lambda: dump.ready(ctx), "is a standby in recovery", target.promote)
    canary(target.service.name).prepare(ctx)


def test_a_wrong_password_is_told_before(place, primary, ctx):
    wrong = primary.service.admin.model_copy(update={"password": secret("no", "TEST_WRONG")})
    ctx.services["other"] = primary.service.model_copy(update={"admin": wrong})
    said = "the canary cannot write to other: .*password authentication failed"
    refused_until(lambda: canary("other").reach(ctx), said, lambda: ctx.services.update(other=primary.service))


def available(name="primary", **options):
    return find_probe("postgres.available").model_validate({"service": name, **options})


def test_available_wants_one_row_of_a_query_that_only_reads(place, primary, ctx):
    primary.sql("CREATE TABLE wares (id int)", "INSERT INTO wares VALUES (1), (2)", "GRANT SELECT, INSERT ON wares TO clerk")
    assert available().check(ctx) is None
    assert available(query="SELECT 1 FROM wares LIMIT 1").check(ctx) is None
    assert available(query="SELECT current_user WHERE current_user = 'clerk'").check(ctx) is None
    assert available(query="SELECT 1 FROM wares").check(ctx) == "the query returned 2 rows, not 1"
    assert available(query="SELECT 1 FROM wares WHERE id % 5 = 4").check(ctx) == "the query returned 0 rows, not 1"
    assert available(query="SET work_mem = '1MB'").check(ctx) == "the query returned 0 rows, not 1"
    for said, query in {
        "read-only transaction": "INSERT INTO wares VALUES (3) RETURNING id",
        "multiple commands": "COMMIT; INSERT INTO wares VALUES (3) RETURNING id",
        "must be set before any query": "SELECT set_config('transaction_read_only', 'off', true)",
        "statement timeout": "SELECT pg_sleep(30)",
    }.items():
        assert said in available(query=query, timeout="500ms").check(ctx)
    assert primary.sql("SELECT count(*) FROM wares") == [(2,)]
    primary.sql("DROP TABLE wares")
    assert "does not exist" in available(query="SELECT 1 FROM wares LIMIT 1").check(ctx)
    assert available().check(ctx) is None, "a server that lost a table still answers"


def test_available_tells_a_dead_a_deaf_and_a_hanging_server(place, primary, target, ctx):
    assert "refused" in available(target.service.name).check(ctx)
    with socket.create_server(("127.0.0.1", target.service.port)):
        assert available(target.service.name, timeout="300ms").check(ctx) is not None
    found = []
    sample = threading.Thread(target=lambda: found.append(available(query="SELECT pg_sleep(600)").check(ctx)))
    sample.start()
    asked = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
    until(lambda: primary.sql(asked), "the query runs")
    backend = primary.sql(asked)[0][0]
    suspend(backend)
    try:
        sample.join(20)
        assert not sample.is_alive()
    finally:
        os.kill(backend, signal.SIGCONT)
    assert isinstance(found[0], str)
    assert available().check(ctx) is None
