"""Databases of a real MariaDB server are dropped, and restored in the server itself from a dump or a physical backup."""

import json
import shutil
import subprocess

import pytest

from drillbook.errors import HostError, StepFailed
from drillbook.systems.mariadb import fault_record
from drillbook.systems.mariadb.client import connected
from drillbook.systems.mariadb.exchange import Exchange
from tests.systems.estate import codes
from tests.systems.mariadb.unit import unit
from tests.systems.refusals import refused_until


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with unit(tmp_path_factory.mktemp("shop")) as made:
        made.save()
        yield made


@pytest.fixture
def place(shop, tmp_path):
    """Estate of one test; its data is intact, as at the time of the backup."""
    yield shop.estate(tmp_path)
    shop.until_it_answers()
    if "shop" not in shop.sql("SHOW DATABASES").split():
        restore(shop.estate(tmp_path / "again"), "dumps")


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    (tmp_path / "again").mkdir()


def fault(place):
    return place.action("mariadb.lose_data", service="database")


def lose(place):
    action, ctx = fault(place), place.ctx("inject.1")
    action.ready(ctx)
    assert action.active(ctx) is False
    assert action.untouched(ctx) is True
    facts = action.run(ctx)
    assert action.active(ctx) is True
    assert action.untouched(ctx) is False
    return facts


def restore(place, source, **fields):
    return place.action("backup.restore", service="database", **{"from": source}, **fields).run(place.ctx())


def undo(place, source):
    """Carry out the undo as the host of a dead controller does."""
    for argv in place.action("backup.restore", service="database", **{"from": source}).undo(place.ctx()).commands:
        subprocess.run(argv, cwd="/", check=True, timeout=60)


def content(place):
    return place.run("mariadb.content", service="database")["manifest"]


def whole(shop, place, before):
    assert content(place) == before
    assert fault(place).active(place.ctx("inject.1")) is False
    assert shop.beside() == []
    assert shop.sql("SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE 'drillbook%'").strip() == "0"
    assert "RUNNING" in shop.control("status", "shop")


def test_a_dropped_database_comes_back_from_a_dump_with_accounts_and_other_databases(shop, place):
    before = content(place)
    shop.sql("CREATE OR REPLACE USER later@localhost IDENTIFIED BY 'pw'; INSERT INTO other.t VALUES (900)")
    place.action("backup.restore", service="database", **{"from": "dumps"}).ready(place.ctx())
    subject = fault(place).subject(place.ctx())
    assert lose(place) == {"databases": ["shop"], "tables": 11}
    facts = restore(place, "dumps")
    assert facts["in_place"]
    assert {"copy", "fetch", "load", "finish", "start", "total"} <= set(facts["seconds"])
    whole(shop, place, before)
    assert shop.sql(
        "SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'later'; SELECT a FROM other.t WHERE a = 900"
    ).split() == [
        "1",
        "900",
    ]
    assert place.action("backup.restore", service="database", **{"from": "dumps"}).subject(place.ctx()) == subject
    shop.sql("DROP USER later@localhost; DELETE FROM other.t WHERE a = 900")


@pytest.mark.parametrize(("source", "database"), [("dumps", "shop"), ("streams", "")])
def test_a_canary_can_write_after_the_restore_of_a_backup_that_lacks_its_table(shop, tmp_path, source, database):
    place = shop.estate(tmp_path, database=database)
    before = content(place)
    shop.sql("CREATE TABLE shop.seen (run_id VARCHAR(100), record_number INT, PRIMARY KEY (run_id, record_number))")
    shop.sql("INSERT INTO shop.seen VALUES ('run', 1)")
    lose(place)
    restore(place, source)
    assert shop.sql("INSERT INTO shop.seen VALUES ('run', 2); SELECT record_number FROM shop.seen").strip() == "2"
    shop.sql("DROP TABLE shop.seen")
    whole(shop, place, before)


def test_a_run_of_an_older_version_that_recorded_the_table_of_a_canary_ends(shop, tmp_path):
    place = shop.estate(tmp_path, database="shop")
    shop.sql("CREATE TABLE shop.seen (run_id VARCHAR(100), record_number INT, PRIMARY KEY (run_id, record_number))")
    try:
        former = {"service": "database", "databases": ["shop"], "tables": ["shop.seen"]}
        ctx = place.ctx("inject.1")
        ctx.evidence(fault_record.RECORD, json.dumps(former), sync=True)
        assert fault(place).active(ctx) is False
    finally:
        shop.sql("DROP TABLE shop.seen")
    assert fault(place).active(ctx) is True


def test_all_databases_come_back_from_a_physical_backup(shop, tmp_path):
    place = shop.estate(tmp_path, database="")
    before = content(place)
    assert lose(place)["databases"] == ["other", "shop"]
    facts = restore(place, "streams")
    assert facts["type"] == "full-backuped"
    whole(shop, place, before)


@pytest.mark.parametrize("source", ["dumps", "streams"])
def test_a_service_that_has_its_data_is_never_written(shop, tmp_path, source):
    place = shop.estate(tmp_path, database="" if source == "streams" else "shop")
    before = content(place)
    with pytest.raises(StepFailed) as failure:
        restore(place, source)
    assert codes(failure) == ["restore-target"]
    whole(shop, place, before)


def test_a_restore_that_already_ended_well_is_not_repeated(shop, place):
    before = content(place)
    lose(place)
    restore(place, "dumps")
    restore(place, "dumps")
    whole(shop, place, before)


def half(exchange, new):
    """First half of an exchange: the old directory is renamed, and the new one is not yet in its place."""
    shutil.move(exchange.service.data, exchange.kept)


STAGES = {
    "the unit is stopped": ("stop", Exchange.stop),
    "nothing is exchanged": ("put", None),
    "one directory is renamed": ("put", half),
    "the directories are exchanged": ("put", Exchange.put),
    "the restored server runs": ("forget", None),
    "the old directory is forgotten": ("forget", Exchange.forget),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_restore_that_dies_at_any_stage_is_undone_by_commands_alone_and_can_be_repeated(shop, place, monkeypatch, stage):
    """As after a controller was killed: the step does not clean up, and only the host undoes the restore."""
    before = content(place)
    lose(place)

    class Killed(BaseException):
        pass

    method, last = STAGES[stage]

    def dies(self, *arguments):
        if last:
            last(self, *arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Exchange, method, dies)
        patched.setattr(Exchange, "give_up", lambda self, undo: None)
        patched.setattr("drillbook.sdk.sandbox.Sandbox.remove", lambda self: None)
        with pytest.raises(Killed):
            restore(place, "dumps")
    undo(place, "dumps")
    undo(place, "dumps")
    shop.until_it_answers()
    assert shop.beside() == []
    assert fault(place).active(place.ctx("inject.1")) is (last is not Exchange.forget)
    restore(place, "dumps")
    whole(shop, place, before)


def test_a_failed_restore_puts_the_server_back_by_itself(shop, place, monkeypatch):
    lose(place)

    def broken(self, new):
        raise HostError("no space left", host="here")

    with monkeypatch.context() as patched:
        patched.setattr(Exchange, "put", broken)
        with pytest.raises(HostError):
            restore(place, "dumps")
    shop.until_it_answers()
    assert shop.beside() == []
    assert shop.sql("SELECT COUNT(*) FROM other.t").strip() != "0"


def test_a_backup_that_lacks_a_part_of_the_service_is_refused(shop, tmp_path):
    place = shop.estate(tmp_path)

    def why(source, **service):
        made = place.inventory.services["database"].model_copy(update=service)
        place.inventory.services["database"] = made
        there = place.inventory.services[source]
        backup = there.backups(place.ctx())[0]
        checked = there.check(place.ctx(), backup)
        assert [found.measured for found in checked.findings] == []
        return there.in_place(place.ctx(), made).unlike(backup, checked.facts)

    assert why("dumps") == ""
    dumps = place.inventory.services["dumps"]
    newest = dumps.backups(place.ctx())[0]
    facts = dict(dumps.check(place.ctx(), newest).facts)
    assert "utf8mb4_unicode_ci" in facts["collations"]
    facts["collations"] = [*facts["collations"], "utf8mb4_uca9900_ai_ci"]
    foreign = dumps.in_place(place.ctx(), place.inventory.services["database"]).unlike(newest, facts)
    assert "does not know the collation utf8mb4_uca9900_ai_ci of the dump" in foreign
    assert "the server also contains other" in why("streams")
    assert why("streams", database="") == ""
    streams = place.inventory.services["streams"]
    former = streams.in_place(place.ctx(), place.inventory.services["database"]).unlike(
        streams.backups(place.ctx())[0], {"server_version": "10.3.39-MariaDB"}
    )
    assert former.startswith("the backup is from MariaDB 10.3.39-MariaDB, and only a server of the same series can open it")
    shop.sql("CREATE TABLE shop.`new one`(a INT)")
    try:
        assert why("streams") == "the backup lacks 1 of the 15 tables of the server: new one"
        assert why("dumps", database="shop") == "the backup lacks 1 of the 12 tables of the server: shop.new one"
    finally:
        shop.sql("DROP TABLE shop.`new one`")
    shop.sql("CREATE TABLE shop.seen (run_id VARCHAR(100), record_number INT, PRIMARY KEY (run_id, record_number))")
    try:
        assert why("streams", database="") == ""
        assert why("dumps", database="shop") == ""
    finally:
        shop.sql("DROP TABLE shop.seen")
    shop.sql("CREATE TABLE shop.failures (run_id VARCHAR(100), record_number INT)")
    shop.sql("CREATE VIEW shop.failed AS SELECT run_id, record_number FROM shop.failures")
    try:
        assert why("dumps", database="shop") == (
            "the backup lacks 2 of the 13 tables of the server: shop.failed, shop.failures"
        )
        with connected(place.ctx(), place.inventory.services["database"]) as client:
            assert fault_record.canaries(client) == []
    finally:
        shop.sql("DROP VIEW shop.failed; DROP TABLE shop.failures")
    shop.save(options=("--single-transaction", "shop"))
    try:
        assert why("dumps").startswith("the backup contains no routines, but the server has 2")
    finally:
        shop.save()


def test_a_backup_in_the_folder_of_the_server_is_refused(shop, tmp_path):
    place = shop.estate(tmp_path)
    source = place.inventory.services["dumps"].model_copy(update={"at": f"{shop.data}/dumps"})
    backup = place.inventory.services["dumps"].backups(place.ctx())[0]
    assert "which the fault destroys" in source.in_place(place.ctx(), place.inventory.services["database"]).unlike(
        backup, {}
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"unit": ""}, "has no `unit`"),
        ({"data_directory": ""}, "has no `data_directory`"),
        ({"data_directory": "/var/tmp"}, "is not the server that uses /var/tmp"),
    ],
)
def test_a_service_that_cannot_be_restored_in_place_is_told_before(shop, tmp_path, fields, told):
    place = shop.estate(tmp_path)
    services = place.inventory.services
    right = services["database"]
    services["database"] = right.model_copy(update=fields)
    action = place.action("backup.restore", service="database", **{"from": "dumps"})
    refused_until(lambda: action.ready(place.ctx()), told, lambda: services.update(database=right))


def test_a_data_directory_that_cannot_be_exchanged_is_told_before(shop, place):
    """A link in it refers to files that a copy of the directory would share."""
    link = shop.data / "elsewhere"
    link.symlink_to("/var/tmp")
    action = place.action("backup.restore", service="database", **{"from": "dumps"})
    said = f"the account of the step cannot replace {shop.data} by a restored directory: it contains links to other places"
    refused_until(lambda: action.ready(place.ctx()), said, link.unlink)


def test_a_database_without_tables_is_told_before(shop, tmp_path):
    places = [shop.estate(tmp_path / name, database=name) for name in ("none", "shop") if not (tmp_path / name).mkdir()]
    said = "database contains no tables"
    refused_until(lambda: fault(places[0]).ready(places[0].ctx()), said, lambda: places.pop(0))


def test_a_login_that_may_not_drop_is_told_before(shop, tmp_path):
    shop.sql("CREATE USER looker@localhost; GRANT SELECT, PROCESS ON *.* TO looker@localhost")
    place = shop.estate(tmp_path, user="looker")

    def grant():
        shop.sql("GRANT ALL ON *.* TO looker@localhost")

    try:
        refused_until(lambda: fault(place).ready(place.ctx()), "looker of database is not allowed to drop databases", grant)
    finally:
        shop.sql("DROP USER looker@localhost")


def test_an_injection_that_was_never_recorded_changed_nothing(shop, tmp_path):
    place = shop.estate(tmp_path)
    ctx = place.ctx("inject.1")
    assert fault(place).active(ctx) is False
    assert fault(place).untouched(ctx) is True
