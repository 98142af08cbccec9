"""Dumps restored into sandboxes: complete restores, and missing requirements of a sandbox, which are reported in
advance.
"""

import re
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.lab import database
from drillbook.systems.postgres import content
from drillbook.systems.postgres.canary_table import listed
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.dump_in_place import DumpInPlace
from drillbook.systems.postgres.service import Admin
from drillbook.systems.postgres.source import PgDumpSource
from tests import keys
from tests.needs import missing, need
from tests.systems.postgres import dumps, fixtures, majors
from tests.systems.postgres.dumps import Shelf, cut, largest
from tests.systems.refusals import refused_until

place = fixtures.place


@pytest.fixture(scope="module")
def shelf(place, tmp_path_factory):
    return Shelf(place, dumps.filled(place, "production", tmp_path_factory.mktemp("shelf") / "whole"))


class Rehearsal:
    """Folder of dumps, and a sandbox for them; restores into it are undone at the end."""

    def __init__(self, shelf: Shelf, folder: Path, **fields) -> None:
        self.shelf, self.folder = shelf, folder
        fields = {"database": "shop", "admin": Admin(user="postgres"), "bin": shelf.source.cluster.service.bin, **fields}
        sandbox = {"folder": str(shelf.place.folder / "box"), "data_may_leave": True}
        self.copy = shelf.place.place("copy", password=None, sandbox=sandbox, **fields).service
        self.ctx = shelf.place.context(step="restore.1")

    def planned(self, **fields):
        bin_ = self.shelf.source.cluster.service.bin
        self.shelf.place.extra["nightly"] = PgDumpSource(
            name="nightly", host="db-1", at=str(self.folder), bin=bin_, **fields
        )
        self.ctx = self.shelf.place.context(step="restore.1")
        return self.shelf.place.action("backup.restore", service="copy", **{"from": "nightly"})

    def restore(self, **fields):
        action = self.planned(**fields)
        action.ready(self.ctx)
        return action.run(self.ctx)

    def ask(self, query: str):
        with connected(self.ctx, self.copy) as session:
            return session.execute(query).fetchall()

    def digests(self, name: str):
        with content.snapshot(self.ctx, self.shelf.place.clusters[name].service) as snap:
            return {table.name: (table.rows, table.digest) for table in content.tables(snap, content.relations(snap))}

    def undone(self) -> None:
        action = self.shelf.place.action("backup.restore", service="copy", **{"from": "nightly"})
        for command in action.undo(self.ctx).commands:
            self.shelf.place.host.run(command, deadline=self.ctx.deadline).check()
        assert not action.active(self.ctx)

    def end(self) -> None:
        self.undone()
        del self.shelf.place.clusters["copy"]
        (self.shelf.place.folder / "copy").rmdir()


@pytest.fixture
def rehearsal(shelf, tmp_path):
    need("unshare")
    made = []

    def make(**fields) -> Rehearsal:
        made.append(Rehearsal(shelf, tmp_path, **fields))
        return made[0]

    yield make
    made[0].end()


def content_of(made: Rehearsal, name: str):
    """Digests of all tables that a dump contains."""
    return {table: value for table, value in made.digests(name).items() if "unlogged" not in table}


HEALTHY = ["custom.gzip", "directory.none", "tar", "plain.zstd", "named", "custom.none.gzip", "cluster.gzip"]


def test_an_encrypted_dump_comes_back(shelf, tmp_path, tmp_path_factory, rehearsal):
    need("age")
    key = keys.made(tmp_path_factory.mktemp("keys"))
    key.sealed(dumps.copied(shelf.take("plain.zstd"), tmp_path))
    made = rehearsal()
    made.restore(identity=key.identity)
    assert content_of(made, "copy") == content_of(made, "production")


FAR = (
    "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', dbname 'shop')",
    "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'clerk', password 'hidden-user-word')",
    "CREATE FOREIGN TABLE far_words (word text) SERVER far OPTIONS (table_name 'words')",
    "CREATE VIEW middle AS SELECT word FROM far_words",
    """CREATE MATERIALIZED VIEW "it's; far" AS SELECT count(*) FROM middle WITH NO DATA""",
    "CREATE MATERIALIZED VIEW near AS SELECT 1 AS a",
    "CREATE FUNCTION odd() RETURNS text LANGUAGE sql AS $$ SELECT '\nREFRESH MATERIALIZED VIEW near;\n' $$",
)


@pytest.fixture
def far(shelf):
    """Materialized view of a foreign table, which production's server filled."""
    cluster = shelf.source.cluster
    cluster.sql("CREATE DATABASE far")
    cluster.sql(*FAR, database="far")
    cluster.sql("GRANT SELECT ON words TO clerk")
    cluster.sql(
        f"ALTER SERVER far OPTIONS (ADD port '{cluster.service.port}')",
        """REFRESH MATERIALIZED VIEW "it's; far\"""",
        database="far",
    )
    yield
    cluster.sql("DROP DATABASE far")


@pytest.mark.parametrize("form", ["custom", "directory", "tar", "plain", "custom.gzip"])
def test_a_view_over_a_foreign_table_stays_unfilled(shelf, far, tmp_path, rehearsal, form):
    kind, _, how = form.partition(".")
    if kind == "directory":
        shelf.source.dump("--format=directory", f"--file={tmp_path}/far", database="far")
    else:
        data = shelf.source.dump(f"--format={kind}", database="far")
        (tmp_path / "far").write_bytes(dumps.packed(data, how) if how else data)
    made = rehearsal(database="far")
    (unfilled, reason), *others = made.restore()["views_not_filled"].items()
    assert (unfilled, others) == ("""public."it's; far\"""", [])
    assert "could not connect" in reason or "foreign table is restricted" in reason
    assert made.ask("SELECT a FROM near") == [(1,)]
    assert made.ask("SELECT relispopulated FROM pg_class WHERE relname LIKE 'it%'") == [(False,)]
    assert made.ask("SELECT odd()") == [("\nREFRESH MATERIALIZED VIEW near;\n",)]


def test_another_error_of_a_view_still_ends_the_restore(shelf, far, tmp_path, rehearsal):
    shelf.source.cluster.sql(
        "CREATE TABLE divisor AS SELECT 1 AS n; CREATE MATERIALIZED VIEW broken AS SELECT 1 / n FROM divisor; "
        "UPDATE divisor SET n = 0",
        database="far",
    )
    (tmp_path / "far").write_bytes(shelf.source.dump("--format=custom", database="far"))
    made = rehearsal(database="far")
    with pytest.raises(StepFailed) as failure:
        made.restore()
    assert [found.code for found in failure.value.findings] == ["restore-errors"]
    assert "division by zero" in failure.value.findings[0].measured


@pytest.mark.parametrize("name", HEALTHY)
def test_everything_comes_back(shelf, tmp_path, rehearsal, name):
    dumps.copied(shelf.take(name), tmp_path)
    made = rehearsal()
    facts = made.restore(database="shop")
    assert facts["database"] == "shop"
    assert facts["bytes"] > 1 << 20
    assert {"server", "roles", "data", "analyze", "total"} <= set(facts["seconds"])
    assert content_of(made, "copy") == content_of(made, "production")
    roles = {"Odd Role", "auditor", "clerk"}
    assert set(facts["roles_made"]) == (set() if name.startswith("cluster") else roles)
    assert {role for (role,) in made.ask("SELECT rolname FROM pg_roles")} >= roles
    assert made.ask("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'tagged'") == [('"Odd Role"',)]
    assert made.ask("SELECT count(*) FROM pg_largeobject_metadata") == [(1,)]
    if not name.startswith("plain"):
        assert made.ask("SELECT count(*) FROM pg_db_role_setting WHERE setrole = 0") == [(1,)]


def test_roles_come_from_the_file_beside_the_dump(shelf, tmp_path, rehearsal):
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    dumps.copied(shelf.take("globals"), tmp_path)
    made = rehearsal()
    facts = made.restore(globals="globals")
    assert (facts["globals"], facts["roles_made"]) == (True, [])
    assert made.ask("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'clerk'") == [(True,)]


def test_the_copy_may_have_another_name(shelf, tmp_path, rehearsal):
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    made = rehearsal(database="rehearsed")
    assert made.restore()["database"] == "rehearsed"
    assert made.ask("SELECT count(*) FROM wide") == [(20000,)]


def test_subscriptions_stay_out_and_tablespaces_are_made(shelf, tmp_path, rehearsal):
    name = str(tmp_path / "fast")
    Path(name).mkdir(mode=0o777)
    production = shelf.source.cluster
    production.sql(
        f"CREATE TABLESPACE fast LOCATION '{name}'",
        "CREATE TABLE placed TABLESPACE fast AS SELECT 1 AS a",
        "CREATE SUBSCRIPTION follower CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)",
    )
    try:
        (tmp_path / "dumps").mkdir()
        (tmp_path / "dumps" / "shop.dump").write_bytes(shelf.source.dump("--format=custom"))
        made = rehearsal()
        made.folder = tmp_path / "dumps"
        facts = made.restore()
        assert (facts["tablespaces_made"], facts["subscriptions_left_out"]) == (["fast"], 1)
        assert made.ask("SELECT count(*) FROM pg_subscription") == [(0,)]
        query = "SELECT spcname FROM pg_tablespace t JOIN pg_class c ON c.reltablespace = t.oid WHERE relname = 'placed'"
        assert made.ask(query) == [("fast",)]
    finally:
        production.sql(
            "ALTER SUBSCRIPTION follower SET (slot_name = NONE)", "DROP SUBSCRIPTION follower", "DROP TABLE placed"
        )
        production.sql("DROP TABLESPACE fast")


def codes(caught) -> list[str]:
    return [found.code for found in caught.value.findings]


def test_an_extension_that_the_sandbox_lacks_is_said_before(shelf, tmp_path, rehearsal):
    text = shelf.take("plain").read_text().replace("IF NOT EXISTS hstore WITH", "IF NOT EXISTS no_such_extension WITH")
    (tmp_path / "shop.sql").write_text(text)
    made = rehearsal()
    with pytest.raises(StepFailed, match=r"the dump shop\.sql was not restored") as caught:
        made.restore()
    assert codes(caught) == ["sandbox-lacks"]
    assert caught.value.findings[0].wanted == "the extension no_such_extension"


def test_a_locale_that_the_sandbox_lacks_is_said_before(shelf, tmp_path, rehearsal):
    text = shelf.take("named").read_text().replace("LOCALE = 'C'", "LOCALE = 'xx_XX.utf8'")
    (tmp_path / "shop.sql").write_text(text)
    made = rehearsal()
    with pytest.raises(StepFailed) as caught:
        made.restore()
    assert codes(caught) == ["sandbox-lacks"]
    assert "xx_XX.utf8" in caught.value.findings[0].wanted


def test_a_dump_of_another_database_is_not_restored(shelf, tmp_path, rehearsal):
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    made = rehearsal()
    with pytest.raises(StepFailed) as caught:
        made.restore(database="billing")
    assert codes(caught) == ["backup-of-another"]


@pytest.mark.parametrize(
    ("name", "damage", "code"),
    [
        ("custom.gzip", cut(0.5), "backup-damaged"),
        ("directory.none", largest(cut(0.5)), "restore-errors"),
        ("plain.zstd", cut(0.5), "backup-damaged"),
        ("tar", cut(0.5), "backup-damaged"),
    ],
)
def test_a_damaged_dump_is_no_restore(shelf, tmp_path, rehearsal, name, damage, code):
    damage(dumps.copied(shelf.take(name), tmp_path))
    made = rehearsal()
    with pytest.raises(StepFailed) as caught:
        made.restore()
    assert codes(caught) == [code]


def test_a_dump_of_17_is_restored_by_17(place, shelf, tmp_path_factory, tmp_path, rehearsal):
    if not (dumps.DEBIAN_17 / "pg_dump").exists():
        missing("PostgreSQL 17 is not installed (Debian: postgresql-17)")
    folder = tmp_path_factory.mktemp("shelf-17")
    shelf_17 = Shelf(place, dumps.filled(place, "production-17", folder / "whole", bin=dumps.programs_17(folder / "bin")))
    dumps.copied(shelf_17.take("directory.zstd"), tmp_path)
    made = rehearsal(bin=shelf_17.source.cluster.service.bin)
    action = made.planned()
    plain = made.copy.model_copy(update={"bin": shelf.source.cluster.service.bin})
    if (
        "zstd"
        not in subprocess.run(["ldd", database.binaries() / "pg_restore"], capture_output=True, text=True, check=True).stdout
    ):
        services = [plain, made.copy]

        def ctx():
            return replace(made.ctx, services={**made.ctx.services, "copy": services[0]})

        with pytest.raises(StepFailed, match=r"compress|could not restore") as failure:
            action.run(ctx())
        assert "compression" in str(failure.value.findings[0])
        made.undone()
        said = "pg_restore was built without support for the compression of the dump"
        refused_until(lambda: action.ready(ctx()), said, lambda: services.pop(0))
    facts = made.restore()
    assert facts["server_version"].startswith("17.")
    assert made.ask("SELECT count(*) FROM wide") == [(20000,)]


OLD_SERVER = (15, "of version 15 is too old for the dump .*, which sets transaction_timeout")
OLD_PSQL = (13, r"does not know the command .restrict")


@pytest.mark.parametrize(
    ("form", "major", "said"),
    [
        *((form, *OLD_SERVER) for form in ("plain", *(f"plain.{how}" for how in dumps.PLAIN), "cluster", "cluster.zstd")),
        *((form, *OLD_PSQL) for form in ("plain", "plain.lz4")),
    ],
)
def test_a_plain_dump_of_a_newer_server_is_refused_before_and_does_not_restore(shelf, tmp_path, form, major, said):
    """Each reason is also reported by the programs of that version."""
    dumps.copied(shelf.take(form), tmp_path)
    rehearsal = Rehearsal(shelf, tmp_path, bin=majors.programs(major, tmp_path.with_name(f"{tmp_path.name}-bin")))
    try:
        action = rehearsal.planned()
        services = [rehearsal.copy.model_copy(update={"bin": shelf.source.cluster.service.bin}), rehearsal.copy]

        def check():
            action.ready(replace(rehearsal.ctx, services={**rehearsal.ctx.services, "copy": services[-1]}))

        refused_until(check, said, services.pop)
        with pytest.raises(StepFailed, match="could not restore") as failure:
            action.run(rehearsal.ctx)
        assert re.search("transaction_timeout" if major == 15 else "restrict", str(failure.value.findings[0]))
    finally:
        rehearsal.end()


@pytest.mark.parametrize(
    ("form", "major", "said"), [("plain.zstd", *OLD_SERVER), ("plain.zstd", *OLD_PSQL), ("tar", 15, "")]
)
def test_a_dump_that_the_programs_do_not_know_is_refused_before_a_fault(shelf, tmp_path, form, major, said):
    """The verification reads the complete backup; a restore in place compares the result with the programs of the
    service.
    """
    dumps.copied(shelf.take(form), tmp_path)
    made = Rehearsal(shelf, tmp_path)
    try:
        made.planned()
        source, production = shelf.place.extra["nightly"], shelf.place.clusters["production"].service
        (backup,) = source.backups(made.ctx)
        checked = source.check(made.ctx, backup)
        assert not checked.findings
        old = production.model_copy(update={"bin": majors.programs(major, tmp_path.with_name(f"{tmp_path.name}-bin"))})
        with connected(made.ctx, production) as session:
            assert "transaction_timeout" not in DumpInPlace(made.ctx, production, source).differs(
                session, backup, checked.facts
            )
            why = DumpInPlace(made.ctx, old, source).differs(session, backup, checked.facts)
        assert re.search(said, why) if said else "too old" not in why
    finally:
        made.end()


@pytest.mark.parametrize(
    ("form", "lacks"), [("cluster", False), ("cluster.gzip", False), ("plain", True), ("directory.none", True)]
)
def test_a_dump_of_a_whole_cluster_needs_no_file_of_roles(shelf, tmp_path, form, lacks):
    """The dump of a cluster creates the application's role itself."""
    dumps.copied(shelf.take(form), tmp_path)
    made = Rehearsal(shelf, tmp_path)
    try:
        made.planned()
        cluster = shelf.place.clusters["production"]
        restore = DumpInPlace(made.ctx, cluster.service, shelf.place.extra["nightly"])
        with pytest.raises(NotReady, match=r"no file of roles, so clerk and all other roles") if lacks else nullcontext():
            restore.ready()
    finally:
        made.end()


def test_only_a_table_that_a_canary_made_is_no_table_that_a_dump_lacks(shelf, tmp_path):
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    made = Rehearsal(shelf, tmp_path)
    made.planned()
    source, cluster = shelf.place.extra["nightly"], shelf.place.clusters["production"]
    (backup,) = source.backups(made.ctx)
    tables = cluster.sql("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables")
    databases = [name for (name,) in cluster.sql("SELECT datname FROM pg_database")]
    checked = {"databases": databases, "rows_by_table": {name: 0 for (name,) in tables}}
    columns = "run_id varchar(100) NOT NULL, record_number {} NOT NULL"

    def why():
        with connected(made.ctx, cluster.service) as session:
            return DumpInPlace(made.ctx, cluster.service, source).differs(session, backup, checked), listed(session)

    try:
        assert why() == ("", [])
        cluster.sql(f"CREATE TABLE seen ({columns.format('integer')}, PRIMARY KEY (run_id, record_number))")
        assert why() == ("", [("public", "seen", "postgres")])
        cluster.sql("DROP TABLE seen", f"CREATE TABLE seen ({columns.format('integer')})")
        assert (why()[0].endswith("tables of the server: public.seen"), why()[1]) == (True, [])
        cluster.sql("DROP TABLE seen")
        cluster.sql(f"CREATE TABLE seen ({columns.format('bigint')}, PRIMARY KEY (run_id, record_number))")
        assert (why()[0].endswith("tables of the server: public.seen"), why()[1]) == (True, [])
    finally:
        cluster.sql("DROP TABLE IF EXISTS seen")
        made.end()


OLD = r"""--
-- PostgreSQL database dump
--
{restrict}
-- Dumped from database version 11.22
-- Dumped by pg_dump version 11.22

SET statement_timeout = 0;
SET TimeZone = 'UTC';
SELECT pg_catalog.set_config('search_path', '', false);
SET row_security = off;

SET default_tablespace = '';

SET default_with_oids = false;

CREATE TABLE public.accounts (balance integer);

CREATE FUNCTION public.pay() RETURNS void LANGUAGE sql AS $$
UPDATE public.accounts
SET balance = balance - 1
$$;

CREATE FUNCTION public.noted() RETURNS text LANGUAGE sql AS $$ SELECT '
SET transaction_timeout = 0;
\restrict no
'::text $$;

COPY public.accounts (balance) FROM stdin;
7
\.

{unrestrict}
--
-- PostgreSQL database dump complete
--
"""
"""pg_dump 11 writes the setting `default_with_oids`. Later servers accept it, but do not list it among their settings."""


@pytest.mark.parametrize("patched", [False, True])
def test_lines_that_look_like_settings_do_not_refuse_a_dump(shelf, tmp_path, patched):
    r"""``patched``: with a psql of 15 to which its vendor added ``\restrict`` without a new minor version number."""
    commands = {"restrict": "\\restrict key\n", "unrestrict": "\\unrestrict key\n"}
    text = OLD.format_map(commands if patched else dict.fromkeys(commands, ""))
    (tmp_path / "old.sql").write_text(text)
    programs = Path(majors.programs(15 if patched else 13, tmp_path.with_name(f"{tmp_path.name}-bin")))
    if patched:
        psql = programs / "psql"
        version = '[ "$*" != --version ] || exec echo "psql (PostgreSQL) 15.1"'
        psql.write_text(psql.read_text().replace("\n", f"\n{version}\n", 1))
    made = Rehearsal(shelf, tmp_path, bin=str(programs))
    try:
        made.restore()
        assert made.ask("SELECT balance FROM accounts") == [(7,)]
        assert made.ask("SELECT noted()") == [("\nSET transaction_timeout = 0;\n\\restrict no\n",)]
    finally:
        made.end()
