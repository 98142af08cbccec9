"""Servers in sandboxes: an empty one, and one on a copy of a data directory."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import StepFailed
from drillbook.lab import database
from drillbook.sdk.sandbox import Sandbox, removal
from drillbook.systems.postgres import disposable_server
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.service import Admin
from tests.needs import need
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import ADMIN_PASSWORD, AS_NOBODY, Cluster, Site
from tests.systems.refusals import refused_until

place, primary = fixtures.place, fixtures.primary


@pytest.fixture
def box(place: Site):
    """Sandbox without a server, removed at the end as by a run."""
    need("unshare")
    service = place.place(
        "copy",
        admin=Admin(user="postgres"),
        password=None,
        sandbox={"folder": str(place.folder / "sandbox"), "data_may_leave": True},
    ).service
    made = Sandbox.of(place.context(), service)
    made.ready()
    made.make()
    yield made
    made.remove()
    assert not Path(made.folder).exists()
    del place.clusters["copy"]
    (place.folder / "copy").rmdir()


def ask(box: Sandbox, query: str, database: str = "template1"):
    with connected(box.ctx, box.service, database=database) as session:
        cursor = session.execute(query)
        return cursor.fetchall() if cursor.description else []


def base_backup(primary: Cluster, copy: Path) -> None:
    argv = [f"{primary.service.bin}/pg_basebackup", "-c", "fast", "-D", str(copy), "-d"]
    subprocess.run([*argv, psycopg.conninfo.make_conninfo(**primary.dsn("postgres"))], check=True)


def test_an_empty_server_takes_writes_at_its_socket_alone(box):
    versions = disposable_server.ready(box.ctx, box.service, ("initdb", "pg_ctl", "psql"))
    assert "PostgreSQL" in versions["psql"]
    disposable_server.start_empty(box, disposable_server.Locale("LATIN1", "C", "C"))
    assert ask(box, "SELECT pg_catalog.getdatabaseencoding()") == [("LATIN1",)]
    shown = dict(ask(box, "SELECT name, setting FROM pg_catalog.pg_settings"))
    wanted = {"listen_addresses": "", "archive_mode": "off", "max_logical_replication_workers": "0", "wal_level": "minimal"}
    assert {name: shown[name] for name in wanted} == wanted
    assert Path(box.service.socket).is_socket()
    ask(box, "CREATE TABLE t()")
    assert removal(box.service, box.ctx.run_id)[0] == "sh"


def test_nothing_of_the_server_is_left_after_the_removal(place, box):
    disposable_server.start_empty(box)
    pid = int((Path(box.service.data) / "postmaster.pid").read_text().split()[0])
    box.remove()
    assert not Path(box.folder).exists()
    state = Path(f"/proc/{pid}/status")
    assert not state.exists() or "\nState:\tZ" in state.read_text()


def test_a_server_that_does_not_start_says_why(box):
    with pytest.raises(StepFailed, match=r"does not accept writes: .*FATAL: .*no_such_library") as caught:
        disposable_server.start_empty(box, settings={"shared_preload_libraries": "no_such_library"})
    assert [found.code for found in caught.value.findings] == ["postgres-unhealthy"]
    assert any("no_such_library" in line for line in caught.value.findings[0].evidence)


def test_an_encoding_that_does_not_fit_its_locale_says_so(box):
    with pytest.raises(StepFailed, match=r"initdb failed in the sandbox: .*no_such_locale"):
        disposable_server.start_empty(box, disposable_server.Locale("UTF8", "no_such_locale", "C"))


def test_a_copy_starts_without_its_own_archive_replication_and_logins(primary: Cluster, box):
    """With its own settings, the copy would archive, replicate, require passwords and load a missing library."""
    copy = Path(box.folder) / "data"
    base_backup(primary, copy)
    (copy / "standby.signal").touch()
    with (copy / "postgresql.auto.conf").open("a") as file:
        file.write(
            f"archive_mode = on\narchive_command = 'touch {box.folder}/archived'\nmax_connections = 7\n"
            "listen_addresses = '*'\nprimary_conninfo = 'host=127.0.0.1'\nshared_preload_libraries = 'no_such_library'\n"
        )
    given = disposable_server.start_existing(box, str(copy))
    assert given["shared_preload_libraries"] == ""
    assert int(given["max_connections"]) >= int(primary.sql("SHOW max_connections")[0][0])
    assert ask(box, "SELECT pg_catalog.pg_is_in_recovery()") == [(False,)]
    assert ask(box, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_wal_receiver") == [(0,)]
    ask(box, "SELECT pg_catalog.pg_switch_wal()")
    assert not (Path(box.folder) / "archived").exists()


def test_a_copy_keeps_the_libraries_that_exist_here(primary: Cluster, box):
    copy = Path(box.folder) / "data"
    base_backup(primary, copy)
    with (copy / "postgresql.auto.conf").open("a") as file:
        file.write("shared_preload_libraries = 'pg_stat_statements, no_such_library'\n")
    assert disposable_server.libraries(box, str(copy)) == (["pg_stat_statements"], ["no_such_library"])
    assert disposable_server.start_existing(box, str(copy))["shared_preload_libraries"] == "pg_stat_statements"


def test_a_copy_of_nothing_is_damaged(box):
    (Path(box.folder) / "data").mkdir()
    with pytest.raises(StepFailed, match="is not a data directory") as caught:
        disposable_server.start_existing(box, f"{box.folder}/data")
    assert [found.code for found in caught.value.findings] == ["backup-damaged"]


def test_a_role_that_the_copy_lacks_is_told_at_once(place: Site, primary: Cluster, box):
    copy = Path(box.folder) / "data"
    base_backup(primary, copy)
    service = box.service.model_copy(update={"admin": Admin(user="no_such_role")})
    with pytest.raises(StepFailed, match='role "no_such_role" does not exist'):
        disposable_server.start_existing(Sandbox(box.ctx, service, box.host), str(copy))
    assert box.ctx.deadline.remaining() > 60


def test_the_user_that_may_not_run_a_server_is_told_before(place: Site, box):
    if not AS_NOBODY:
        pytest.skip("only root may not run a server")
    services = [box.service.model_copy(update={"bin": str(database.binaries())}), box.service]
    refused_until(
        lambda: disposable_server.ready(box.ctx, services[0], ("initdb",)),
        "would run PostgreSQL as root",
        lambda: services.pop(0),
    )


LEADS_AWAY = (
    "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
    "CREATE SERVER production FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{folder}', port '{port}', dbname 'shop')",
    "CREATE USER MAPPING FOR postgres SERVER production OPTIONS (user 'postgres', password '{password}')",
    "CREATE TABLE IF NOT EXISTS public.here (id int)",
    "CREATE FOREIGN TABLE public.there (id int) SERVER production OPTIONS (table_name 'here')",
    "CREATE SUBSCRIPTION follows CONNECTION 'host={folder}-none' PUBLICATION p WITH (connect = false, slot_name = 'follows')",
    "ALTER SUBSCRIPTION follows ENABLE",
)


@pytest.fixture
def leading_away(primary: Cluster):
    """Primary whose copy has a foreign table that connects to the primary through its Unix socket, and a subscription."""
    given = {"folder": primary.data.parent, "port": primary.service.port, "password": ADMIN_PASSWORD}
    primary.sql(*(statement.format(**given) for statement in LEADS_AWAY))
    yield primary
    primary.sql(
        "ALTER SUBSCRIPTION follows DISABLE",
        "ALTER SUBSCRIPTION follows SET (slot_name = NONE)",
        "DROP SUBSCRIPTION follows",
        "DROP SERVER production CASCADE",
        "DROP TABLE public.here",
    )


def test_nothing_in_a_copy_leads_to_its_primary(leading_away: Cluster, box):
    """The Unix socket is in the file system, which a network namespace does not isolate."""
    copy = Path(box.folder) / "data"
    base_backup(leading_away, copy)
    assert leading_away.sql("SELECT count(*) FROM public.there") == [(0,)], "it leads there from the primary itself"
    disposable_server.start_existing(box, str(copy))
    for statement in ("SELECT count(*) FROM public.there", "INSERT INTO public.there VALUES (1)"):
        with pytest.raises(psycopg.Error, match="access to non-system foreign table is restricted"):
            ask(box, statement, "shop")
    assert leading_away.sql("SELECT count(*) FROM public.here") == [(0,)]
    assert ask(box, "SELECT subenabled FROM pg_subscription", "shop") == [(True,)]
    workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'logical replication%'"
    assert ask(box, workers, "shop") == [(0,)]
