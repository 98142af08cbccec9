"""Sessions and indexes of a real server with few connections: too many sessions, a blocking one, a plan without its
index.
"""

import contextlib
import re
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.probe import find_probe
from drillbook.systems.postgres.actions.faults.sessions import REFUSAL
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.programs import Tools
from tests.ports import free_port
from tests.systems.ground import PLAIN, marked
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until
from tests.waiting import lasts

place = fixtures.place


@pytest.fixture(scope="module")
def small(place):
    cluster = place.place("small")
    cluster.create()
    with (cluster.data / "postgresql.conf").open("a") as file:
        file.write("max_connections = 14\nsuperuser_reserved_connections = 3\n")
    cluster.start()
    cluster.sql("CREATE ROLE clerk LOGIN PASSWORD 'clerk'", "CREATE DATABASE shop OWNER clerk", database="postgres")
    password = cluster.service.password.reveal().replace("'", "''")
    cluster.sql(
        f"ALTER ROLE clerk PASSWORD '{password}'",
        "CREATE TABLE goods (id int PRIMARY KEY, code text, shelf int)",
        "INSERT INTO goods SELECT g, md5(g::text), g % 50 FROM generate_series(1, 20000) AS g",
        "CREATE INDEX goods_code ON goods (code)",
        "ALTER TABLE goods OWNER TO clerk",
        "SELECT pg_stat_force_next_flush()",  # otherwise the rows would be counted again after ANALYZE
        "ANALYZE goods",
    )
    yield cluster
    cluster.destroy()


def undo(action, ctx):
    found = action.undo(ctx)
    assert found.kind == "commands"
    for argv in found.commands:
        subprocess.run(argv, env=PLAIN, cwd="/", stdin=subprocess.DEVNULL, check=True, timeout=60)


def until(held, seconds=60.0):
    end = time.monotonic() + seconds
    while not held():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def connects(small):
    try:
        small.connect(user="clerk").close()
    except psycopg.OperationalError:
        return False
    return True


def psql(path, service):
    """Arguments in the form of the fault's clients."""
    return [path, "-X", "-w", "-h", service.address, "-p", str(service.port), "-U", "clerk", "-d", service.database]


def asking(small, name="waits"):
    return {**PLAIN, "PGPASSWORD": small.service.password.reveal(), "PGAPPNAME": name, "LC_ALL": "C"}


def sessions(small, application):
    return small.sql(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'")[0][0]


def test_every_connection_is_taken_until_the_undo(place, small):
    ctx = place.context(step="inject.1")
    fault = place.action("postgres.hold_connections", service="small", **{"for": "2m"})
    fault.ready(ctx)
    assert fault.active(ctx) is False
    try:
        facts = fault.run(ctx)
        until(lambda: not connects(small))  # the slot of a session that has just ended is occupied for a moment
        assert fault.active(ctx) is True
        assert facts["limit"] == 11
        until(lambda: sessions(small, facts["application"]) >= 10)
        assert 9 <= facts["held"] <= facts["limit"]
        shown = [command_line(pid) for pid in marked(ctx.run_id)]
        assert any(b"pg_sleep" in one for one in shown)
        assert not any(small.service.password.reveal().encode() in one for one in shown)
    finally:
        undo(fault, ctx)
    assert marked(ctx.run_id) == []
    until(lambda: connects(small) and fault.active(ctx) is False)
    undo(fault, ctx)


LINGERS_S = 4.0


class Lingering(socketserver.ThreadingTCPServer):
    """Path to a server on which the end of a session arrives ``LINGERS_S`` late, as from a busy machine or by a proxy."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port):
        self.far = port
        super().__init__(("127.0.0.1", 0), Late)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Late(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.far)) as far:
            threading.Thread(target=self.carry, args=(far, self.request), daemon=True).start()
            self.carry(self.request, far, lambda data: data.startswith(b"X\0\0\0\4"))
            lasts(LINGERS_S)
            far.shutdown(socket.SHUT_RDWR)

    def carry(self, near, far, ends=lambda data: False):
        with contextlib.suppress(OSError):
            while (data := near.recv(65536)) and not ends(data):
                far.sendall(data)


@pytest.fixture
def lingering(place, small):
    with Lingering(small.service.port) as server:
        place.clusters["lingering"] = type(small)(
            small.service.model_copy(update={"name": "lingering", "port": server.server_address[1]})
        )
        yield place.clusters["lingering"]
        del place.clusters["lingering"]
        server.shutdown()


def test_sessions_of_the_step_itself_are_no_held_connections(place, small, lingering):
    """A server that ends the step's own closed sessions late is not full because of them."""
    ctx = place.context(step="inject.1")
    fault = place.action("postgres.hold_connections", service="lingering", **{"for": "2m"})
    try:
        facts = fault.run(ctx)
        assert facts["held"] >= 10
        until(lambda: not connects(small))
    finally:
        undo(fault, ctx)
    until(lambda: connects(small) and fault.active(ctx) is False)


def test_held_connections_end_with_their_time_and_no_timeout_of_the_role_ends_them(place, small):
    ctx = place.context(step="inject.1")
    small.sql("ALTER ROLE clerk SET statement_timeout = '100ms'")
    fault = place.action("postgres.hold_connections", service="small", **{"for": "8s"})
    try:
        fault.run(ctx)
        assert fault.active(ctx) is True
        until(lambda: marked(ctx.run_id) == [] and fault.active(ctx) is False)
        small.sql("ALTER ROLE clerk SUPERUSER")
        again = place.action("postgres.hold_connections", service="small")
        refused_until(
            lambda: again.ready(place.context(step="inject.2")),
            "`user` is a superuser, whose sessions would use up the connections reserved for administrators",
            lambda: small.sql("ALTER ROLE clerk NOSUPERUSER"),
        )
        leaving = [place.action("postgres.hold_connections", service="small", leave=1000), again]
        said = "of 11 connections are in use already"
        refused_until(lambda: leaving[0].ready(place.context(step="inject.2")), said, lambda: leaving.pop(0))
    finally:
        small.sql("ALTER ROLE clerk NOSUPERUSER", "ALTER ROLE clerk RESET statement_timeout")
        undo(fault, ctx)


def test_those_of_one_application_are_ended_and_no_others(place, small):
    ctx = place.context(step="inject.1")
    fault = place.action("postgres.hold_connections", service="small", leave=4, **{"for": "2m"})
    with small.connect(user="clerk") as other:
        try:
            facts = fault.run(ctx)
            assert connects(small) is True
            ended = place.run("postgres.terminate", service="small", application=facts["application"])
            assert ended["terminated"] == facts["held"] > 0
            assert ended["applications"] == [facts["application"]]
            until(lambda: fault.active(ctx) is False)
        finally:
            undo(fault, ctx)
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert place.run("postgres.terminate", service="small", application=facts["application"])["terminated"] == 0


def test_a_session_that_was_terminated_does_not_count_as_refused(place, small):
    """Otherwise the fault would replace it, and last until the end of the fault's own time limit."""
    tools = Path(Tools.of(place.context(), small.service, place.context().host).path("psql"))
    waiting = subprocess.Popen(
        [*psql(tools, small.service), "--command=SELECT pg_sleep(60)"], env=asking(small), stderr=subprocess.PIPE, text=True
    )
    until(lambda: sessions(small, "waits") == 1)
    place.run("postgres.terminate", service="small", application="waits")
    _, said = waiting.communicate(timeout=60)
    assert "connection to server was lost" in said
    assert re.findall(REFUSAL, said) == []
    two = small.service.model_copy(update={"address": "127.0.0.1,127.0.0.1", "port": free_port()})
    refused = subprocess.run(psql(tools, two), env=asking(small), stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert refused.stderr.count("connection to server") == 2, "one line for each address"
    assert len(re.findall(REFUSAL, refused.stderr)) == 1


def test_a_session_that_is_idle_in_its_transaction_blocks_until_it_is_ended(place, small):
    ctx = place.context(step="inject.1")
    fault = place.action("postgres.idle_in_transaction", service="small", table="goods", **{"for": "2m"})
    fault.ready(ctx)
    busy = small.connect(user="clerk")
    busy.execute("BEGIN")
    try:
        facts = fault.run(ctx)
        assert fault.active(ctx) is True
        with pytest.raises(psycopg.errors.LockNotAvailable):
            small.sql("SET lock_timeout = '300ms'", "SELECT count(*) FROM goods")
        until(
            lambda: (
                place.run("postgres.terminate", service="small", idle_longer_than="100ms", application=facts["application"])[
                    "terminated"
                ]
                == 1
            )
        )
        assert small.sql("SET lock_timeout = '20s'", "SELECT count(*) FROM goods") == [(20000,)]
        until(lambda: fault.active(ctx) is False)
        assert busy.execute("SELECT 1").fetchone() == (1,)
    finally:
        undo(fault, ctx)
        busy.close()
    assert marked(ctx.run_id) == []


def test_an_index_is_gone_until_it_is_made_again(place, small):
    ctx = place.context(step="inject.1")
    query = "SELECT count(*) FROM goods WHERE code = 'x'"
    fault = place.action("postgres.drop_index", service="small", index="goods_code")
    fault.ready(ctx)
    way_back = fault.undo(ctx)
    assert place.run("postgres.explain", service="small", query=query, index="goods_code")["indexes"] == ["goods_code"]
    facts = fault.run(ctx)
    assert (facts["table"], fault.active(ctx)) == ("public.goods", True)
    with pytest.raises(StepFailed, match="does not use goods_code") as told:
        place.run("postgres.explain", service="small", query=query, index="goods_code")
    assert told.value.facts["scanned"] == ["goods"]
    made = place.run(way_back.action, **way_back.params)
    assert (made["already"], fault.active(ctx)) == (False, False)
    assert place.run(way_back.action, **way_back.params)["already"] is True
    assert place.run("postgres.analyze", service="small", table="goods")["rows"] == 20000
    assert small.sql("SELECT indexdef FROM pg_indexes WHERE indexname = 'goods_code'") == [(facts["definition"],)]


def test_a_probe_sees_that_a_statement_lost_its_index_however_quick_it_still_is(place, small):
    """Twenty thousand rows are read in a few milliseconds, so that a time limit would not detect this."""
    ctx = place.context(step="probe.1")
    probe = find_probe("postgres.planned").model_validate(
        {"service": "small", "query": "SELECT count(*) FROM goods WHERE code = 'x'", "index": "goods_code"}
    )
    assert probe.check(ctx) is None
    fault = place.action("postgres.drop_index", service="small", index="goods_code")
    way_back = fault.undo(ctx)
    fault.run(ctx)
    try:
        assert probe.check(ctx) == "the plan does not use goods_code; sequential scans: goods"
    finally:
        place.run(way_back.action, **way_back.params)
    assert probe.check(ctx) is None
    broken = probe.model_copy(update={"query": "SELECT 1; DROP TABLE goods"})
    assert "multiple commands" in broken.check(ctx)
    assert "does not exist" in probe.model_copy(update={"query": "SELECT 1 FROM nothing"}).check(ctx)
    assert small.sql("SELECT count(*) FROM goods") == [(20000,)]


@pytest.mark.parametrize("known", [True, False])
def test_a_table_that_is_read_as_a_whole_is_found_after_a_crash(place, small, known):
    """A server that crashed forgets how many rows its tables have, and no earlier value may be known, either."""
    table = "goods" if known else "fresh"
    small.sql(
        "DROP TABLE IF EXISTS fresh",
        "CREATE TABLE fresh (id int, code text) WITH (autovacuum_enabled = off)",
        "INSERT INTO fresh SELECT g, md5(g::text) FROM generate_series(1, 20000) AS g",
    )
    small.kill()
    small.start()
    reading = f"SELECT count(*) FROM {table} WHERE code || '' = 'x'"
    over = threading.Event()
    reads = threading.Thread(target=lambda: [small.sql(reading) for _ in iter(over.is_set, True)])
    reads.start()
    try:
        found = place.run("postgres.indexes", service="small", watch="8s")
    finally:
        over.set()
        reads.join()
    assert [one["table"] for one in found["heavy"]] == [table]
    assert 19_000 <= found["heavy"][0]["live_rows"] <= 21_000


def test_plans_of_running_statements_are_told_and_nothing_is_run(place, small):
    """Statements of the application's role, with and without parameters, the longest first; a statement that writes
    is not repeated.
    """
    statements = [
        ("SELECT pg_sleep(60), count(*) FROM goods WHERE shelf = %s AND code <> 'secret-word'", (7,)),
        ("INSERT INTO goods SELECT id + 100000, code, 1 FROM goods WHERE code = 'x' OR pg_sleep(0.05) IS NULL", ()),
        ("SELECT pg_sleep(60)" + " " * 2000, ()),
        ("SELECT pg_sleep(60); DROP TABLE goods", ()),
    ]
    busy = [*(small.connect(user="clerk") for _ in statements), small.connect()]

    def work(session, query, values):
        with contextlib.suppress(psycopg.errors.QueryCanceled), session:
            session.execute(query.encode(), values or None)

    threads = [
        threading.Thread(target=work, args=args)
        for args in zip(
            busy, [s[0] for s in statements] + ["SELECT pg_sleep(61)"], [s[1] for s in statements] + [()], strict=True
        )
    ]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(
            lambda count=number: (
                len(
                    small.sql(
                        "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%' AND state = 'active' AND pid <> pg_backend_pid()"
                    )
                )
                == count
            )
        )
    try:
        told = place.run("postgres.plans", service="small", longer_than="0s", watch="30s", most=5)
    finally:
        for session in busy:
            session.cancel_safe()
        for thread in threads:
            thread.join(60)
    first, second, third, fourth = told["plans"]
    assert first["scanned"] == [
        {"table": "goods", "rows": 20000, "filter": "((goods.code <> ?::text) AND (goods.shelf = $1))", "reads": 1}
    ]
    assert "secret-word" not in str(told)
    assert (second["why"], second["scanned"][0]["rows"]) == ("", 20000)
    assert "track_activity_query_size" in third["why"]
    assert "multiple commands" in fourth["why"]
    assert small.sql("SELECT count(*) FROM goods") == [(20000,)]
    assert place.run("postgres.plans", service="small", longer_than="0s")["plans"] == []


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ("SELECT (SELECT count(*) FROM goods o WHERE o.code || '' = g.code) FROM goods g ORDER BY id LIMIT 500", 500),
        (
            "SELECT count(*) FROM goods g WHERE code || '' NOT IN (SELECT code || 'y' FROM goods WHERE shelf = 1) AND pg_sleep(1) IS NOT NULL",
            1,
        ),
        ("SELECT pg_sleep(5), (SELECT count(*) FROM goods WHERE shelf = 1)", 1),
    ],
)
def test_a_plan_tells_how_often_a_table_is_read_in_one_run(place, small, query, reads):
    """On a machine of any speed: no statement has to end before it counts."""
    session = small.connect(user="clerk")

    def work():
        with contextlib.suppress(psycopg.errors.QueryCanceled), session:
            session.execute(query.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        told = place.run("postgres.plans", service="small", longer_than="100ms", watch="20s")
    finally:
        session.cancel_safe()
        thread.join(60)
    assert [one["table"] for one in told["plans"][0]["scanned"]] == ["goods"]
    assert told["plans"][0]["scanned"][0]["reads"] == reads


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("postgres.drop_index", {"index": "goods_code"}, "deaf cannot be queried for goods_code"),
        ("postgres.delete_rows", {"table": "goods", "where": "id = 1"}, r"deaf cannot be queried for public\.goods"),
        ("postgres.idle_in_transaction", {"table": "goods"}, "deaf cannot be queried: "),
        ("postgres.hold_connections", {"leave": 4}, "deaf cannot be queried: "),
        ("postgres.base_backup", {"to": f"s3://{BUCKET}/never"}, "deaf cannot be reached as "),
        ("postgres.wal_received", {}, "deaf cannot be reached as "),
    ],
    ids=["index", "rows", "idle", "connections", "backup", "wal"],
)
def test_a_server_that_does_not_answer_is_told(place, small, name, params, said):
    service = small.service.model_copy(update={"name": "deaf"})
    place.extra["deaf"] = service.model_copy(update={"port": free_port()})
    action = place.action(name, service="deaf", **params)
    refused_until(lambda: action.ready(place.context(step="inject.1")), said, lambda: place.extra.update(deaf=service))
    del place.extra["deaf"]


def test_what_is_not_meant_is_refused(place, small):
    ctx = place.context(step="inject.1")
    place.action("postgres.drop_index", service="small", index="goods_code").ready(ctx)
    with pytest.raises(NotReady, match="goods_pkey is needed by a constraint"):
        place.action("postgres.drop_index", service="small", index="goods_pkey").ready(ctx)
    small.sql("CREATE UNIQUE INDEX goods_unique ON goods (id)")
    with pytest.raises(NotReady, match="is unique"):
        place.action("postgres.drop_index", service="small", index="goods_unique").ready(ctx)
    small.sql("DROP INDEX goods_unique")
    with pytest.raises(NotReady, match="there is no index nothing"):
        place.action("postgres.drop_index", service="small", index="nothing").ready(ctx)
    place.action("postgres.idle_in_transaction", service="small", table="goods").ready(ctx)
    with pytest.raises(NotReady, match="there is no table nothing"):
        place.action("postgres.idle_in_transaction", service="small", table="nothing").ready(ctx)
    with pytest.raises(ValidationError, match="choose the sessions"):
        place.action("postgres.terminate", service="small")
    with pytest.raises(ValidationError, match="one statement"):
        place.action("postgres.create_index", service="small", definition="DROP TABLE goods")
    with pytest.raises(StepFailed):
        place.run("postgres.explain", service="small", query="SELECT 1; DROP TABLE goods")
    place.action("postgres.hold_connections", service="small", leave=4).ready(ctx)
    with pytest.raises(NotReady, match="in use already"):
        place.action("postgres.hold_connections", service="small", leave=11).ready(ctx)
    assert small.sql("SELECT count(*) FROM goods") == [(20000,)]


def test_a_superuser_waits_for_a_moment_while_all_its_connections_are_in_use(place, small):
    """Monitoring and probes also use the connections reserved for superusers; an account without this right is
    reported at once.
    """
    ctx, held = place.context(step="restore.1"), []
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            held.append(small.connect())
    gone = threading.Timer(1.0, lambda: held.pop().close())
    gone.start()
    try:
        with pytest.raises(psycopg.OperationalError, match="too many clients"), connected(ctx, small.service, as_user=True):
            pass
        with connected(ctx, small.service, database="postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        gone.join()
        for one in held:
            one.close()


ROUNDS = 12


def test_an_index_is_made_beside_a_session_that_still_makes_it(place, small):
    """A recovery was killed while the server created the index: the server continues, and the next recovery creates
    it, too.
    """
    definition = "CREATE INDEX goods_both ON public.goods USING btree (code, shelf)"
    for number in range(ROUNDS):
        small.sql("DROP INDEX IF EXISTS goods_both")
        session = small.connect(user="clerk")
        session.autocommit = True

        def build(session=session):
            with contextlib.suppress(psycopg.Error), session:
                session.execute(definition.replace("INDEX", "INDEX CONCURRENTLY", 1).encode())

        thread = threading.Thread(target=build)
        thread.start()
        lasts(number * 0.01)  # in the middle of the build, each time a bit later
        try:
            place.run("postgres.create_index", service="small", definition=definition)
        finally:
            thread.join(60)
        valid = small.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'goods_both'::regclass")
        assert valid == [(True,)]
    small.sql("DROP INDEX goods_both")
