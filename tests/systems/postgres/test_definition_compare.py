"""Sabotage between a backup and its verification that rows, sequences and the text of a schema do not show."""

import json

import pytest

from drillbook.errors import CouldNotVerify
from tests.systems.postgres import fixtures, sabotaged
from tests.systems.postgres.sabotaged import BODY, LINE, STALE, matches, refused
from tests.systems.postgres.site import BUCKET
from tests.waiting import until

place, primary, backup, whole = fixtures.place, fixtures.primary, sabotaged.backup, sabotaged.whole


@pytest.fixture(scope="module")
def spare(place, backup):
    cluster = place.place("spare")
    place.run("postgres.restore", service="spare", **{"from": backup["location"]})
    return cluster


def test_a_healthy_copy_gives_no_finding_and_says_what_was_not_compared(place, backup, spare):
    facts = matches(place, backup)
    assert facts["structure"]["relation"] > 20
    assert {"column", "function", "trigger", "policy", "large object", "publication"} <= facts["structure"].keys()
    assert set(facts["recomputed"]) == {"public.old", "extension hstore"}
    assert set(facts["not_compared"]) == {"public.dated", "the structure", "the cluster"}
    assert facts["not_compared"]["public.dated"] == "the query of the view may depend on time, chance or the session"
    assert "not the one that was backed up" in facts["not_compared"]["the cluster"]


def test_the_cluster_of_a_copy_is_compared_where_it_is_wanted(place, backup, spare):
    found = refused(place, backup, cluster=True)
    assert [(one.code, one.title.rpartition(": ")[2]) for one in found] == [
        ("database-missing", "database of the cluster ledgers")
    ]
    facts = matches(place, backup, cluster=True, accept={"database of the cluster led*": "it has its own backup"})
    assert facts["accepted"] == {"database of the cluster ledgers": "it has its own backup"}
    assert facts["cluster"]["role"] == 5
    assert "pg_ident" in facts["not_compared"]["the cluster"]


SABOTAGES = {
    "large object's owner": (
        "ALTER LARGE OBJECT 4711 OWNER TO postgres",
        "ALTER LARGE OBJECT 4711 OWNER TO clerk",
        "schema-differs",
        "large object 4711, owner",
        ("clerk", "postgres"),
    ),
    "large object's grants": (
        "REVOKE SELECT ON LARGE OBJECT 4711 FROM auditor",
        "GRANT SELECT ON LARGE OBJECT 4711 TO auditor",
        "schema-differs",
        "large object 4711, grants",
        ('["+auditor: SELECT"]', "none"),
    ),
    "large object's comment": (
        "COMMENT ON LARGE OBJECT 4711 IS 'another'",
        "COMMENT ON LARGE OBJECT 4711 IS 'a picture'",
        "schema-differs",
        "large object 4711, comment",
        ("a picture", "another"),
    ),
    "tablespace of a table": (
        "ALTER TABLE placed SET TABLESPACE side",
        "ALTER TABLE placed SET TABLESPACE pg_default",
        "schema-differs",
        "relation public.placed, tablespace",
        ("none", "side"),
    ),
    "access method of a table": (
        "ALTER TABLE placed SET ACCESS METHOD heap_too",
        "ALTER TABLE placed SET ACCESS METHOD heap",
        "schema-differs",
        "relation public.placed, access method",
        ("heap", "heap_too"),
    ),
    "tablespace of an index": (
        "ALTER INDEX placed_a SET TABLESPACE side",
        "ALTER INDEX placed_a SET TABLESPACE pg_default",
        "schema-differs",
        "index public.placed_a, tablespace",
        ("none", "side"),
    ),
    "a line like those of pg_dump in a function": (
        BODY.format(""),
        BODY.format(LINE),
        "schema-differs",
        "function public.waits(), definition",
        None,
    ),
    "version of an extension": (
        "DROP EXTENSION pg_trgm; CREATE EXTENSION pg_trgm VERSION '1.5'",
        "ALTER EXTENSION pg_trgm UPDATE TO '1.6'",
        "schema-differs",
        "extension pg_trgm, version",
        ("1.6", "1.5"),
    ),
    "an index that is not valid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'placed_a'::regclass",
        "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'placed_a'::regclass",
        "schema-differs",
        "index public.placed_a, valid",
        ("yes", "no"),
    ),
    "state of a trigger": (
        "ALTER TABLE placed ENABLE TRIGGER rested",
        "ALTER TABLE placed DISABLE TRIGGER rested",
        "schema-differs",
        "trigger rested on public.placed, state",
        ("disabled", "enabled"),
    ),
    "a constraint that was validated": (
        "ALTER TABLE placed VALIDATE CONSTRAINT later",
        "ALTER TABLE placed DROP CONSTRAINT later, ADD CONSTRAINT later CHECK (a > 0) NOT VALID",
        "schema-differs",
        "constraint later on public.placed, validated",
        ("no", "yes"),
    ),
    "an emptied materialized view": (
        "REFRESH MATERIALIZED VIEW summary WITH NO DATA",
        "REFRESH MATERIALIZED VIEW summary",
        "view-stale",
        "relation public.summary, populated",
        ("yes", "no"),
    ),
    "a stale materialized view": (
        STALE,
        "REFRESH MATERIALIZED VIEW old",
        "view-stale",
        "public.old",
        None,
    ),
    "grants on a function of the server": (
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO clerk",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) FROM clerk",
        "schema-differs",
        "grants beyond those of the installation on function pg_read_file(text)",
        ("none", "there"),
    ),
    "grants on a function of an extension": (
        "REVOKE EXECUTE ON FUNCTION similarity(text, text) FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION similarity(text, text) TO PUBLIC",
        "schema-differs",
        "grants beyond those of the installation on function public.similarity(text,text)",
        ("none", "there"),
    ),
    "a kind that no query names": (
        "CREATE CAST (mood AS int) WITH INOUT",
        "DROP CAST (mood AS int)",
        "schema-differs",
        "shop",
        ("the schema of the backup", "a different schema: see the evidence"),
    ),
    "a secret of the database's settings": (
        "ALTER DATABASE shop SET \"app.secret\" = 'word-of-a-thief'",
        "ALTER DATABASE shop SET \"app.secret\" = 'word-of-the-shop'",
        "schema-differs",
        "database shop, setting app.secret",
        ("that of the backup (not shown)", "another one (not shown)"),
    ),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_sabotage_of_the_structure_is_named(place, backup, spare, sabotage):
    do, undo, code, title, values = SABOTAGES[sabotage]
    spare.sql(do)
    try:
        found = refused(place, backup)
    finally:
        spare.sql(undo)
    assert {one.code for one in found} == {code}, found
    named = [one for one in found if one.title.endswith(f": {title}")]
    assert len(named) == 1, found
    if values:
        assert (named[0].wanted, named[0].measured) == values
    assert not any("word-of" in one.model_dump_json() for one in found)
    matches(place, backup)


def test_a_setting_of_the_server_that_quotes_names_is_no_difference(place, backup, spare):
    spare.sql("ALTER ROLE postgres SET quote_all_identifiers = on")
    try:
        matches(place, backup)
    finally:
        spare.sql("ALTER ROLE postgres RESET quote_all_identifiers")


def test_rows_that_users_added_to_tables_of_an_extension_are_compared(place, whole, tmp_path):
    """Its script marks the table, so that pg_dump saves these rows."""
    if whole.sql("SHOW server_version_num")[0][0] < "180000":
        pytest.skip("extensions outside of the installation need PostgreSQL 18")
    folder = place.folder / "share" / "extension"
    folder.mkdir(parents=True)
    (folder / "rates.control").write_text("default_version = '1.0'\nrelocatable = false\nschema = public\n")
    (folder / "rates--1.0.sql").write_text(
        "CREATE TABLE rates (country text, rate int, builtin bool DEFAULT false);\n"
        "INSERT INTO rates VALUES ('ch', 8, true);\n"
        "SELECT pg_catalog.pg_extension_config_dump('rates', 'WHERE NOT builtin');\n"
    )
    path = f"ALTER SYSTEM SET extension_control_path = '$system:{folder.parent}'"
    whole.sql(path, "SELECT pg_reload_conf()")
    until(lambda: "share" in whole.sql("SHOW extension_control_path")[0][0])
    whole.sql("CREATE EXTENSION rates", "INSERT INTO rates VALUES ('de', 19)")
    try:
        backup = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/rates")
        copy = place.place("rated")
        place.run("postgres.restore", service="rated", **{"from": backup["location"]})
        matches(place, backup, "rated")
        copy.sql("UPDATE rates SET rate = 7 WHERE country = 'de'")
        [found] = refused(place, backup, "rated")
        assert (found.code, found.title.partition(": ")[2]) == (
            "table-content",
            "configuration of an extension public.rates, digest",
        )
        matches(place, backup, "rated", accept={"configuration of an extension public.rates": "written since"})
    finally:
        whole.sql("DROP EXTENSION rates", "ALTER SYSTEM RESET extension_control_path", "SELECT pg_reload_conf()")


def test_a_backup_of_an_older_version_is_compared_by_its_text(place, backup, spare):
    """The dump contains neither the structure nor the state of the cluster."""
    _, prefix = place.copy(backup["location"])
    client = place.s3()
    manifest = json.loads(client.get_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json")["Body"].read())
    for name in ("structure.json", "cluster.json"):
        del manifest["files"][name]
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest).encode())
    old = {"manifest": f"s3://{BUCKET}/{prefix}/manifest.json"}
    facts = matches(place, old)
    assert facts["not_compared"]["the structure"] == "the backup contains the structure only as text"
    assert (
        "does not contain the state" in facts["not_compared"]["the cluster"]
        or "not the one that was backed up" in facts["not_compared"]["the cluster"]
    )
    assert "structure" not in facts
    spare.sql("GRANT DELETE ON types TO clerk")
    try:
        assert [one.code for one in refused(place, old)] == ["schema-differs"]
    finally:
        spare.sql("REVOKE DELETE ON types FROM clerk")
    with pytest.raises(CouldNotVerify, match="does not contain the state"):
        matches(place, old, cluster=True)


def test_a_record_that_was_changed_is_a_damaged_backup(place, backup, spare):
    location, prefix = place.copy(backup["location"])
    key = f"{prefix}/structure.json"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=body.replace(b"clerk", b"thief"))
    changed = {"manifest": location.replace("#", "/manifest.json#")}
    assert [one.code for one in refused(place, changed)] == ["backup-digest"]
    place.s3().delete_object(Bucket=BUCKET, Key=key)
    assert [one.code for one in refused(place, changed)] == ["backup-missing"]
