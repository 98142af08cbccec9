"""Sessions of a real server with few connections: too many of them, and one that blocks the others."""

import contextlib
import socket
import socketserver
import threading
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from drillbook.errors import NotReady, StepFailed
from tests.ports import free_port
from tests.systems.ground import marked
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, connects, sessions, undo
from tests.systems.refusals import refused_until
from tests.waiting import lasts, until

place, small = fixtures.place, fixtures.small


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


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
