"""Dumps restored into sandboxes: complete restores, and missing requirements of a sandbox, which are reported in
advance.
"""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.lab import database
from tests import keys
from tests.needs import missing, need
from tests.systems.estate import codes
from tests.systems.postgres import dumps, fixtures, majors, rehearsals
from tests.systems.postgres.dumps import Shelf, cut, largest
from tests.systems.postgres.rehearsals import OLD_SERVER, Rehearsal
from tests.systems.refusals import refused_until

place, rehearsal, shelf = fixtures.place, rehearsals.rehearsal, rehearsals.shelf


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


@pytest.mark.parametrize(
    ("form", "major", "said"),
    [
        *((form, *OLD_SERVER) for form in ("plain", *(f"plain.{how}" for how in dumps.PLAIN), "cluster", "cluster.zstd")),
        *((form, 13, "does not know the command .restrict in the dump") for form in ("plain", "plain.lz4")),
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
