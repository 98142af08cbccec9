"""Dumps for a service that lost its data directory: what is refused before the fault."""

import re
from contextlib import nullcontext

import pytest

from drillbook.errors import NotReady
from drillbook.systems.postgres.canary_table import listed
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.dump_in_place import DumpInPlace
from tests.systems.postgres import dumps, fixtures, majors, rehearsals
from tests.systems.postgres.rehearsals import OLD_PSQL, OLD_SERVER, Rehearsal

place, shelf = fixtures.place, rehearsals.shelf


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
