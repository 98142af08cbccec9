"""sql.canary with the drivers sqlite3 and pymysql, on a file and a real MariaDB server."""

import contextlib
import os
import signal
import sqlite3
import time

import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.probe import find_probe
from drillbook.systems.mariadb.service import Mariadb
from tests.processes import suspend
from tests.systems.mariadb.site import running
from tests.systems.refusals import refused_until


def canary(**given):
    return find_probe("sql.canary").model_validate({"timeout": "500ms", **given})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER)")
    return path


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    with running(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(params=["sqlite3", "pymysql"])
def probe(request, file):
    if request.param == "sqlite3":
        return canary(driver="sqlite3", connect={"database": str(file)})
    server = request.getfixturevalue("mariadb")
    return canary(driver="pymysql", connect={"unix_socket": server.socket, "user": "root", "database": "shop"})


def written(probe, ctx, numbers):
    writer = probe.writer(ctx)
    lost = [(number, lost) for number in numbers if (lost := writer.write(number))]
    writer.close()
    return lost


def execute(probe, ctx, text):
    with probe.connected(ctx) as session:
        session.cursor().execute(text)
        session.commit()


def test_acknowledged_rows_are_read_back_one_by_one_and_removed(ground, probe):
    ctx = ground.ctx("probe.1")
    probe.reach(ctx)
    probe.prepare(ctx)
    assert written(probe, ctx, range(1, 101)) == []
    assert probe.survivors(ctx) == list(range(1, 101))
    execute(probe, ctx, "DELETE FROM drillbook_canary WHERE record_number > 60")
    assert probe.survivors(ctx) == list(range(1, 61))
    execute(probe, ctx, "INSERT INTO drillbook_canary VALUES ('another run', 1)")
    probe.clean(ctx)
    assert probe.survivors(ctx) == []
    execute(probe, ctx, "DELETE FROM drillbook_canary")
    probe.clean(ctx)
    probe.clean(ctx)
    with pytest.raises(Exception, match=r"no such table|doesn't exist"):
        execute(probe, ctx, "SELECT 1 FROM drillbook_canary")


def test_a_lost_table_means_that_no_row_survived(ground, probe):
    ctx = ground.ctx("probe.1")
    probe.prepare(ctx)
    written(probe, ctx, [1])
    execute(probe, ctx, "DROP TABLE drillbook_canary")
    assert probe.survivors(ctx) == []
    probe.clean(ctx)


def test_rows_that_cannot_be_read_are_not_counted_as_lost(ground, file):
    probe, ctx = canary(driver="sqlite3", connect={"database": str(file)}), ground.ctx("probe.1")
    probe.prepare(ctx)
    file.write_bytes(b"no database any more" * 100)
    with pytest.raises(CouldNotVerify, match="file is not a database"):
        probe.survivors(ctx)
    with pytest.raises(CouldNotVerify, match="file is not a database"):
        probe.clean(ctx)
    ((_, lost),) = written(probe, ctx, [1])
    assert "file is not a database" in lost.reason


def test_a_server_that_hangs_never_holds_the_writer(ground, mariadb):
    probe = canary(driver="pymysql", connect={"unix_socket": mariadb.socket, "user": "root", "database": "shop"})
    ctx = ground.ctx("probe.1")
    probe.prepare(ctx)
    writer = probe.writer(ctx)
    assert writer.write(1) is None
    pid = int((mariadb.folder / "pid").read_text())
    suspend(pid)
    try:
        lost = [writer.write(number) for number in (2, 3)]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [(one.reason, one.doubt) for one in lost] == [("no answer within 0.5 s", True)] * 2
    until = time.monotonic() + 30
    while writer.write(4) is not None:
        assert time.monotonic() < until
    writer.close()
    assert {1, 4} <= set(probe.survivors(ctx))
    probe.clean(ctx)


def test_a_wrong_login_is_told_before_anything_is_announced(ground, mariadb):
    probe = canary(driver="pymysql", connect={"unix_socket": mariadb.socket, "user": "nobody", "password": "not-this-one"})
    with pytest.raises(NotReady, match="Access denied") as failure:
        probe.reach(ground.ctx("probe.1"))
    assert "not-this-one" not in str(failure.value)
    login = {"unix_socket": mariadb.socket, "user": "root", "database": "shop"}
    canary(driver="pymysql", connect=login).reach(ground.ctx("probe.1"))


def test_a_database_that_cannot_be_opened_or_written_is_told(ground, tmp_path):
    path, ctx = tmp_path / "shop" / "shop.db", ground.ctx("probe.1")
    probe = canary(driver="sqlite3", connect={"database": str(path)})
    refused_until(lambda: probe.reach(ctx), "unable to open database file", path.parent.mkdir)
    reading = canary(driver="sqlite3", connect={"database": f"file:{path}?mode=ro", "uri": True})
    probes = [reading, probe]
    refused_until(lambda: probes[0].prepare(ctx), "attempt to write a readonly database", lambda: probes.pop(0))
    probe.clean(ctx)


def test_a_service_is_reached_through_its_host(ground, mariadb):
    ground.services["shop"] = Mariadb(name="shop", host="here", address=mariadb.socket, database="shop")
    given = {"host": "${address}", "port": "${port}", "user": "root", "database": "shop"}
    probe, ctx = canary(driver="pymysql", service="shop", connect=given), ground.ctx("probe.1")
    probe.prepare(ctx)
    assert written(probe, ctx, [1, 2]) == []
    assert probe.survivors(ctx) == [1, 2]
    probe.clean(ctx)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_driver", "the driver 'no_such_driver' is not installed"),
        ("xml.nothing", "the driver 'xml.nothing' cannot be imported: No module named"),
        ("json", "the module 'json' is not a driver"),
    ],
)
def test_a_driver_that_is_none_is_told_before(ground, file, name, said):
    probes = [canary(driver=driver, connect={"database": str(file)}) for driver in (name, "sqlite3")]
    refused_until(lambda: probes[0].reach(ground.ctx("probe.1")), said, lambda: probes.pop(0))


def test_an_address_needs_a_service():
    with pytest.raises(ValidationError, match="`service` must name the service"):
        canary(driver="pymysql", connect={"host": "${address}"})
