"""Materialized views over foreign tables: a sandbox leaves them unfilled, and says so."""

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.postgres.foreign_views import not_filled
from tests.systems.postgres import dumps, fixtures, rehearsals

place, rehearsal, shelf = fixtures.place, rehearsals.rehearsal, rehearsals.shelf


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


def test_the_warnings_of_psql_name_each_view_that_was_not_filled():
    said = (
        'psql:views.sql:4: WARNING:  drillbook: not filled: public."it\'s; far": could not connect: timeout\n'
        "psql:views.sql:9: WARNING:  there is already a transaction in progress\n"
        "WARNING:  drillbook: not filled: other: permission denied\n"
    )
    assert not_filled(said) == {'public."it\'s; far"': "could not connect: timeout", "other": "permission denied"}
    assert not_filled("") == {}
