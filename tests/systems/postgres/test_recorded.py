"""Comparison of a database with a backup: differences that it sees, and what is none."""

import json

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, leftovers

place, primary, backup, restored, target = (
    fixtures.place,
    fixtures.primary,
    fixtures.backup,
    fixtures.restored,
    fixtures.target,
)


def test_what_was_restored_matches_down_to_the_settings(place, backup, restored):
    facts = place.run("postgres.matches", service="spare", manifest=backup["manifest"])
    assert facts["tables"] == backup["tables"]
    assert set(facts["not_compared"]) == {"the structure", "the cluster"}
    assert restored.sql("SHOW work_mem") == [("5MB",)]
    assert restored.sql(
        "SELECT datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'"
    ) == [(40, "a shop; with 'quotes'")]
    with restored.connect(user="clerk") as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (500,)
        assert session.execute("SHOW statement_timeout").fetchone() == ("30s",)
    assert restored.sql("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'")[0][0] > 0
    assert leftovers(place) == []


CHANGES = {
    "a row changed": (
        "UPDATE types SET t = t || '!' WHERE id = 77",
        "UPDATE types SET t = rtrim(t, '!') WHERE id = 77",
        "table-content",
    ),
    "a number's scale changed": (
        "UPDATE types SET n = 11.1 WHERE id = 10",
        "UPDATE types SET n = 11.00 WHERE id = 10",
        "table-content",
    ),
    "a pair of equal rows more": ("INSERT INTO secured VALUES (9), (9)", "DELETE FROM secured WHERE a = 9", "table-content"),
    "a row lost": ("DELETE FROM parent WHERE a = 1", "INSERT INTO parent VALUES (1)", "table-content"),
    "a table lost": ("ALTER TABLE empty RENAME TO gone", "ALTER TABLE gone RENAME TO empty", "table-missing"),
    "a table more": ("CREATE TABLE more (a int)", "DROP TABLE more", "table-unexpected"),
    "a sequence behind": ("SELECT setval('orders_id_seq', 499)", "SELECT setval('orders_id_seq', 500)", "sequence-behind"),
    "a falling sequence behind": ("SELECT setval('down', -1)", "SELECT setval('down', -3)", "sequence-behind"),
    "a constraint dropped": (
        "ALTER TABLE orders DROP CONSTRAINT orders_type_id_fkey",
        "ALTER TABLE orders ADD CONSTRAINT orders_type_id_fkey FOREIGN KEY (type_id) REFERENCES types (id)",
        "schema-differs",
    ),
    "a grant more": ("GRANT DELETE ON types TO clerk", "REVOKE DELETE ON types FROM clerk", "schema-differs"),
    "an owner changed": ("ALTER TABLE parts OWNER TO auditor", "ALTER TABLE parts OWNER TO postgres", "schema-differs"),
    "row security off": (
        "ALTER TABLE secured NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE secured FORCE ROW LEVEL SECURITY",
        "schema-differs",
    ),
    "a setting lost": ("ALTER DATABASE shop RESET work_mem", "ALTER DATABASE shop SET work_mem = '5MB'", "schema-differs"),
    "a comment in a function changed": (
        "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS $$\n-- another comment\nSELECT a * 2\n$$",
        "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS $$\n-- a comment that stays\nSELECT a * 2\n$$",
        "schema-differs",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_comparison_sees_that(place, backup, restored, change):
    do, undo, code = CHANGES[change]
    restored.sql(do)
    try:
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.matches", service="spare", manifest=backup["manifest"])
    finally:
        restored.sql(undo)
    assert code in codes(failure), failure.value.findings
    assert all(one.measured and one.wanted for one in failure.value.findings)
    assert failure.value.facts["tables"] >= backup["tables"] - 1
    if code == "schema-differs":
        diff = (place.folder / "run" / failure.value.findings[-1].evidence[0]).read_text()
        assert diff.startswith("--- backup\n+++ now\n")


def test_a_comparison_shows_no_password_that_the_schema_holds(place, primary):
    """In user mappings and subscriptions: no inventory contains these passwords, and the server shows them to its
    superuser.
    """
    old, new = "pass''word-of-the-remote", "pass''word-of-another"
    primary.sql(
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'far')",
        f"CREATE USER MAPPING FOR clerk SERVER far OPTIONS (\"user\" 'clerk', password '{old}')",
        "CREATE SUBSCRIPTION away CONNECTION 'host=far password=hunter2-of-the-subscription' PUBLICATION p "
        "WITH (connect = false)",
    )
    try:
        backup = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/secretive")
        kept = place.s3().get_object(Bucket=BUCKET, Key="secretive/schema.sql")["Body"].read().decode()
        assert "hunter2" not in kept
        assert "-of-the-remote" not in kept
        assert "host=far" in kept
        place.run("postgres.matches", service="primary", manifest=backup["manifest"])
        primary.sql(
            f"ALTER USER MAPPING FOR clerk SERVER far OPTIONS (SET password '{new}')",
            "ALTER SUBSCRIPTION away CONNECTION 'host=further password=hunter2-of-the-subscription'",
        )
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.matches", service="primary", manifest=backup["manifest"])
        diff = (place.folder / "run" / failure.value.findings[-1].evidence[0]).read_text()
        assert "host=further" in diff
        assert "hunter2" not in diff
        assert "word-of" not in diff
    finally:
        primary.sql(
            "ALTER SUBSCRIPTION away DISABLE",
            "ALTER SUBSCRIPTION away SET (slot_name = NONE)",
            "DROP SUBSCRIPTION away",
            "DROP EXTENSION postgres_fdw CASCADE",
        )


def test_a_comparison_of_no_table_is_none(place, backup, restored):
    """Rows are missing, and no other check would notice."""
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key="rich/manifest.json")["Body"].read())
    names = [table["name"] for table in manifest["tables"]]
    with pytest.raises(CouldNotVerify, match="there are no rows to compare"):
        place.run("postgres.matches", service="spare", manifest=backup["manifest"], ignore=dict.fromkeys(names, "busy"))
    with pytest.raises(ValueError, match="must not be both in `tables` and in `ignore`"):
        place.action(
            "postgres.matches",
            service="spare",
            manifest=backup["manifest"],
            tables=["public.orders"],
            ignore={"public.orders": "busy"},
        )


def test_a_sequence_that_went_on_is_no_difference(place, backup, restored):
    restored.sql("SELECT nextval('orders_id_seq'), nextval('untouched')")
    place.run("postgres.matches", service="spare", manifest=backup["manifest"])


def test_the_canary_is_no_part_of_the_comparison(place, primary, target):
    primary.sql(
        "CREATE SCHEMA drillbook",
        "CREATE TABLE drillbook.canary (run text, number bigint)",
        "INSERT INTO drillbook.canary VALUES ('r', 1)",
    )
    try:
        facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/canary")
        place.run("postgres.restore", service=target.service.name, **{"from": facts["location"]})
        assert target.sql("SELECT * FROM drillbook.canary") == [("r", 1)]
        target.sql("INSERT INTO drillbook.canary VALUES ('r', 2)")
        place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])
        target.sql("DROP SCHEMA drillbook CASCADE")
        with pytest.raises(StepFailed):
            place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])
    finally:
        primary.sql("DROP SCHEMA drillbook CASCADE")
