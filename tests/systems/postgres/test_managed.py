"""Managed database of a provider: a master user without superuser rights, no host, and the possible rehearsals."""

import uuid
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.postgres.probes import Canary
from drillbook.systems.postgres.service import NOWHERE, Admin, Postgres
from drillbook.systems.postgres.source import PgDumpSource
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, USER_PASSWORD, Cluster, Site, secret
from tests.systems.refusals import refused_until

place = fixtures.place
MASTER = "master-word"


@pytest.fixture(scope="module")
def provider(place: Site) -> Cluster:
    """The provider's view: a cluster with a master user as in RDS, and with a team's database."""
    made = place.place("provider")
    made.create()
    made.start()
    made.sql(
        f"CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD '{MASTER}'",
        "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO master",
        "CREATE DATABASE shop OWNER master",
        database="postgres",
    )
    return made


@pytest.fixture(scope="module")
def managed(place: Site, provider: Cluster) -> Postgres:
    """The team's view of it."""
    given = provider.service.model_dump(exclude={"data_directory", "admin", "sandbox", "password"})
    admin = Admin(user="master", password=secret(MASTER, "TEST_PG_MASTER"))
    service = Postgres(
        **{**given, "name": "managed", "managed": True, "admin": admin, "password": provider.service.password}
    )
    place.extra["managed"] = service
    with as_master(service) as session:
        for statement in (
            f"CREATE ROLE clerk LOGIN PASSWORD '{USER_PASSWORD}'",
            "GRANT clerk TO master",
            "GRANT CREATE ON SCHEMA public TO clerk",
            "CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 5000) AS g",
            "ALTER TABLE orders OWNER TO clerk",
            "CREATE TABLE countries AS SELECT g AS id FROM generate_series(1, 50) AS g",
            "CREATE INDEX ON orders (id)",
        ):
            session.execute(statement)
    return service


def as_master(service: Postgres):
    return psycopg.connect(
        host="127.0.0.1", port=service.port, dbname=service.database, user="master", password=MASTER, autocommit=True
    )


def test_the_master_user_is_no_superuser(provider, managed):
    with as_master(managed) as session:
        for refused in ("SELECT * FROM pg_authid", "SELECT * FROM pg_hba_file_rules", "SELECT pg_read_file('PG_VERSION')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(refused)


@pytest.fixture
def copy(place: Site, managed, tmp_path):
    """Sandbox, and a dump that a job of the team took from the machine of the drills."""
    need("unshare")
    environ = f"PGPASSWORD={MASTER} PGHOST=127.0.0.1 PGPORT={managed.port} PGUSER=master"
    job = f"{environ} {managed.bin}/pg_dump --format=custom --create shop"
    place.extra["nightly"] = PgDumpSource(
        name="nightly", host="db-1", service="managed", at=("sh", "-c", job), bin=managed.bin
    )
    sandbox = {"folder": f"/var/tmp/drillbook-test-{uuid.uuid4().hex[:8]}", "data_may_leave": True}
    made = place.place("copy", password=None, admin=Admin(user="postgres"), sandbox=sandbox).service
    ctx = place.context(step="restore.1")
    action = place.action("backup.restore", service="copy", **{"from": "nightly"})
    action.ready(ctx)
    yield action.run(ctx)
    for argv in action.undo(ctx).commands:
        place.host.run(argv, deadline=place.context().deadline).check()
    assert not Path(made.sandbox_folder).exists()
    del place.clusters["copy"]
    (place.folder / "copy").rmdir()


def test_a_dump_from_the_controller_is_rehearsed_and_compared(place, managed, copy):
    """Artefact, restore, content, volume, integrity, loss: none of these checks needs a superuser or the provider's
    host.
    """
    assert (copy["database"], copy["roles_made"]) == ("shop", ["clerk", "master"])
    tables = {"orders": {"key": "id"}, "countries": {}}
    facts = place.run("postgres.compare", service="copy", against="managed", tables=tables, tolerance=0.01)
    assert (facts["tables"], facts["rows"]) == (2, 4950)
    assert facts["volume"] == {"public.orders": [5000, 5000], "public.countries": [50, 50]}
    assert place.run("postgres.intact", service="copy", borrow=True)["tables"] > 0
    with as_master(managed) as session:
        session.execute("UPDATE orders SET note = 'x' WHERE id = 9")
        try:
            with pytest.raises(StepFailed) as failure:
                place.run("postgres.compare", service="copy", against="managed", tables=tables)
            assert codes(failure) == ["copy-differs"]
        finally:
            session.execute("UPDATE orders SET note = md5('9') WHERE id = 9")


def test_its_own_backup_says_what_it_could_not_record(place, managed):
    dump = place.action("postgres.dump", service="managed", to=f"s3://{BUCKET}/managed")
    dump.ready(place.context())
    facts = dump.run(place.context())
    assert facts["not_recorded"] == [
        "passwords of roles",
        "rules of pg_hba.conf",
        "configuration files",
        "files of the cluster",
    ]
    found = place.run("postgres.matches", service="managed", manifest=facts["manifest"])
    unread = "the account that took the backup has no right to read this part"
    told = found["not_compared"]
    assert (told["passwords of roles"], told["rule of pg_hba.conf"]) == (unread, unread)
    assert (found["tables"], found["rows"]) == (3, 5050)


def test_a_canary_writes_and_leaves_nothing(place, managed):
    canary, ctx = Canary(service="managed"), place.context()
    canary.reach(ctx)
    canary.prepare(ctx)
    writer = canary.writer(ctx)
    assert [writer.write(number) for number in range(5)] == [None] * 5
    writer.close()
    assert list(canary.survivors(ctx)) == list(range(5))
    canary.clean(ctx)
    with as_master(managed) as session:
        assert session.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'drillbook'").fetchone() == (0,)


HOST = "is a managed database: nothing can be run on its host"


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("postgres.lose_data", {}, HOST),
        ("postgres.stop", {}, HOST),
        ("postgres.data_directory", {}, HOST),
        ("postgres.base_backup", {"to": f"s3://{BUCKET}/base"}, "master has no right to replicate"),
    ],
)
def test_a_rung_that_needs_the_host_says_so(place, managed, name, fields, reason):
    actions = [place.action(name, service=service, **fields) for service in ("managed", "provider")]
    ctx = replace(place.context(), proofs=frozenset({"postgres.base_intact"}))
    refused_until(lambda: actions[0].ready(ctx), reason, lambda: actions.pop(0))


def test_a_table_that_the_master_user_may_not_read_is_told(place, provider, managed):
    provider.sql("CREATE TABLE hidden AS SELECT 1 AS a")
    try:
        with pytest.raises(StepFailed, match="permission denied for table hidden"):
            place.run("postgres.dump", service="managed", to=f"s3://{BUCKET}/hidden")
        with pytest.raises(CouldNotVerify, match="permission denied for table hidden"):
            place.run("postgres.compare", service="provider", against="managed", tolerance=0)
    finally:
        provider.sql("DROP TABLE hidden")


def test_nothing_can_be_where_a_managed_database_has_its_data(managed):
    assert managed.data == NOWHERE
    assert not Path(NOWHERE).exists()
    with pytest.raises(ValidationError, match="neither a `data_directory` nor a `sandbox`"):
        Postgres(**{**managed.model_dump(), "data_directory": "/var/lib/postgresql"})
