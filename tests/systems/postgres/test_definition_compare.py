"""Sabotage between a backup and its verification that rows, sequences and the text of a schema do not show."""

import contextlib
import json
import time

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.systems.postgres import differences
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, USER_PASSWORD

place, primary = fixtures.place, fixtures.primary

CLUSTER = (
    "CREATE ROLE teller LOGIN PASSWORD 'known-to-nobody' CONNECTION LIMIT 7 VALID UNTIL '2099-01-01'",
    "CREATE ROLE idle NOLOGIN",
    "GRANT auditor TO teller WITH ADMIN OPTION",
    "GRANT pg_read_all_data TO auditor",
    "ALTER ROLE teller SET work_mem = '7MB'",
    "ALTER ROLE teller IN DATABASE shop SET lock_timeout = '9s'",
    "ALTER ROLE teller SET \"app.api_key\" = 'key-of-the-teller'",
    "ALTER SYSTEM SET allow_in_place_tablespaces = on",
    "ALTER SYSTEM SET deadlock_timeout = '2s'",
    "CREATE DATABASE ledgers OWNER clerk",
)
BODY = "CREATE OR REPLACE FUNCTION waits() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n{}PERFORM 1;\nEND $$"
LINE = "SET lock_timeout = 0;\n"
STALE = """
CREATE TABLE was AS SELECT * FROM ONLY parent;
TRUNCATE ONLY parent;
REFRESH MATERIALIZED VIEW old;
INSERT INTO parent SELECT * FROM was;
DROP TABLE was
"""
STRUCTURE = (
    "CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler",
    "CREATE TABLE placed (a int, b text DEFAULT 'x' COLLATE \"C\", c int NOT NULL)",
    "COMMENT ON COLUMN placed.a IS 'what it is'",
    "ALTER TABLE placed ADD CONSTRAINT later CHECK (a > 0) NOT VALID",
    "CREATE INDEX placed_a ON placed (a)",
    "CREATE STATISTICS placed_both ON a, c FROM placed",
    "ALTER TABLE placed ALTER a SET STATISTICS 77, SET (fillfactor = 90)",
    BODY.format(LINE),
    "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER stamped BEFORE INSERT ON placed FOR EACH ROW EXECUTE FUNCTION stamp()",
    "CREATE TRIGGER rested BEFORE UPDATE ON placed FOR EACH ROW EXECUTE FUNCTION stamp()",
    "ALTER TABLE placed DISABLE TRIGGER rested",
    "CREATE POLICY mine ON secured FOR SELECT TO auditor USING (a > 1)",
    "CREATE RULE quiet AS ON DELETE TO none DO INSTEAD NOTHING",
    "CREATE AGGREGATE longest (text) (SFUNC = pg_catalog.textcat, STYPE = text, INITCOND = '')",
    "CREATE TYPE span AS RANGE (SUBTYPE = float8)",
    "CREATE VIEW cheap AS SELECT id, i FROM types WHERE i < 10",
    "CREATE TABLE keyed (id int PRIMARY KEY, at date) PARTITION BY RANGE (id)",
    "CREATE TABLE keyed_1 PARTITION OF keyed FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE of_keyed (id int REFERENCES keyed)",
    "CREATE PUBLICATION news FOR TABLE placed (a, c) WHERE (a > 1), orders",
    "CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert')",
    "ALTER DEFAULT PRIVILEGES FOR ROLE clerk GRANT SELECT ON TABLES TO auditor",
    "CREATE EVENT TRIGGER watched ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION event()",
    "CREATE EXTENSION pg_trgm",
    "CREATE EXTENSION hstore VERSION '1.4'",
    "ALTER DATABASE shop SET \"app.secret\" = 'word-of-the-shop'",
    "SELECT lo_create(4711)",
    "ALTER LARGE OBJECT 4711 OWNER TO clerk",
    "GRANT SELECT ON LARGE OBJECT 4711 TO auditor",
    "COMMENT ON LARGE OBJECT 4711 IS 'a picture'",
    "CREATE MATERIALIZED VIEW old AS SELECT count(*) AS n, sum(a) AS s FROM parent",
    "CREATE MATERIALIZED VIEW dated AS SELECT now() AS at, a FROM parent",
    "INSERT INTO parent VALUES (1000)",
)


@pytest.fixture(scope="module")
def whole(place, primary):
    """Primary with everything that the sabotages need."""
    primary.sql(*CLUSTER, database="postgres")
    primary.sql("SELECT pg_reload_conf()")
    until(lambda: primary.sql("SHOW allow_in_place_tablespaces") == [("on",)])
    primary.sql("CREATE TABLESPACE side LOCATION ''", database="postgres")
    primary.sql("CREATE FUNCTION event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", *STRUCTURE)
    with contextlib.suppress(Exception):  # the index stays, and is not valid
        primary.sql("CREATE UNIQUE INDEX CONCURRENTLY broken ON orders ((1))")
    return primary


@pytest.fixture(scope="module")
def backup(place, whole):
    return place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/whole")


@pytest.fixture(scope="module")
def spare(place, backup):
    cluster = place.place("spare")
    place.run("postgres.restore", service="spare", **{"from": backup["location"]})
    return cluster


def until(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def matches(place, backup, service="spare", **fields):
    return place.run("postgres.matches", service=service, manifest=backup["manifest"], **fields)


def refused(place, backup, service="spare", **fields):
    with pytest.raises(StepFailed) as failure:
        matches(place, backup, service, **fields)
    return failure.value.findings


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


def test_the_place_of_the_backup_is_compared_with_its_cluster(place, backup, whole):
    facts = matches(place, backup, "primary")
    assert facts["cluster"]["rule of pg_hba.conf"] > 1
    assert "recomputed" not in facts
    assert "the cluster" not in matches(place, backup, "primary", cluster=False).get("cluster", {})


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


CLUSTER_SABOTAGES = {
    "membership revoked": (
        "REVOKE auditor FROM teller",
        "GRANT auditor TO teller WITH ADMIN OPTION",
        "cluster-differs",
        "membership teller in auditor",
        "missing",
    ),
    "membership's option lost": (
        "REVOKE ADMIN OPTION FOR auditor FROM teller",
        "GRANT auditor TO teller WITH ADMIN OPTION",
        "cluster-differs",
        "membership teller in auditor, granted",
        None,
    ),
    "login removed": (
        "ALTER ROLE teller NOLOGIN",
        "ALTER ROLE teller LOGIN",
        "cluster-differs",
        "role teller, login",
        "no",
    ),
    "made superuser": (
        "ALTER ROLE teller SUPERUSER",
        "ALTER ROLE teller NOSUPERUSER",
        "cluster-differs",
        "role teller, superuser",
        "yes",
    ),
    "settings lost": (
        "ALTER ROLE teller RESET work_mem",
        "ALTER ROLE teller SET work_mem = '7MB'",
        "cluster-differs",
        "settings of a role teller, work_mem",
        "none",
    ),
    "secret setting changed": (
        "ALTER ROLE teller SET \"app.api_key\" = 'key-of-a-thief'",
        "ALTER ROLE teller SET \"app.api_key\" = 'key-of-the-teller'",
        "cluster-differs",
        "settings of a role teller, app.api_key",
        "another one (not shown)",
    ),
    "role dropped": ("DROP ROLE idle", "CREATE ROLE idle NOLOGIN", "cluster-differs", "role idle", "missing"),
    "a role more": ("CREATE ROLE thief SUPERUSER", "DROP ROLE thief", "cluster-differs", "role thief", "there"),
    "another database missing": (
        "DROP DATABASE ledgers",
        "CREATE DATABASE ledgers OWNER clerk",
        "database-missing",
        "database of the cluster ledgers",
        "missing",
    ),
    "owner of another database": (
        "ALTER DATABASE ledgers OWNER TO teller",
        "ALTER DATABASE ledgers OWNER TO clerk",
        "cluster-differs",
        "database of the cluster ledgers, owner",
        "teller",
    ),
}


@pytest.mark.parametrize("sabotage", CLUSTER_SABOTAGES)
def test_sabotage_of_the_cluster_is_named(place, backup, whole, sabotage):
    do, undo, code, title, measured = CLUSTER_SABOTAGES[sabotage]
    whole.sql(do, database="postgres")
    try:
        found = refused(place, backup, "primary")
    finally:
        whole.sql(undo, database="postgres")
    assert [(one.code, one.title.partition(": ")[2]) for one in found] == [(code, title)]
    assert measured in (None, found[0].measured)
    assert "key-of" not in found[0].model_dump_json()
    matches(place, backup, "primary")


def test_a_changed_password_is_seen_and_never_shown(place, backup, whole):
    query = "SELECT rolpassword FROM pg_authid WHERE rolname = 'teller'"
    [(before,)] = whole.sql(query)
    whole.sql("ALTER ROLE teller PASSWORD 'known-to-a-thief'")
    [(after,)] = whole.sql(query)
    try:
        [found] = refused(place, backup, "primary")
    finally:
        whole.sql(f"ALTER ROLE teller PASSWORD '{before}'")
    assert (found.code, found.title.partition(": ")[2]) == ("cluster-differs", "role teller, password")
    evidence = (place.folder / "run" / found.evidence[0]).read_text()
    kept = place.s3().get_object(Bucket=BUCKET, Key="whole/cluster.json")["Body"].read().decode()
    for text in (found.model_dump_json(), evidence, kept):
        assert before not in text
        assert after not in text
        assert "known-to" not in text
    whole.sql("ALTER ROLE teller PASSWORD NULL")
    try:
        [found] = refused(place, backup, "primary")
    finally:
        whole.sql(f"ALTER ROLE teller PASSWORD '{before}'")
    assert found.measured == "none"
    matches(place, backup, "primary")


def test_a_rule_that_trusts_everybody_is_seen(place, backup, whole):
    path = whole.data / "pg_hba.conf"
    before = path.read_text()
    path.write_text("host all all 0.0.0.0/0 trust\n" + before)
    try:
        [found] = refused(place, backup, "primary")
        lines = [line for line in before.splitlines() if line.strip() and not line.startswith("#")]
        path.write_text("\n".join(reversed(lines)) + "\n")
        swapped = refused(place, backup, "primary")
    finally:
        path.write_text(before)
    assert (found.code, found.measured) == ("access-differs", "there")
    assert found.title.endswith(": rule of pg_hba.conf host all all 0.0.0.0 0.0.0.0 trust")
    assert {one.code for one in swapped} == {"access-differs"}
    assert all(one.title.endswith(", order") for one in swapped)
    matches(place, backup, "primary")


def test_a_setting_that_loses_data_is_seen(place, backup, whole):
    def setting(statement, value):
        whole.sql(statement, "SELECT pg_reload_conf()", database="postgres")
        until(lambda: whole.sql("SHOW fsync") == [(value,)])

    setting("ALTER SYSTEM SET fsync = off", "off")
    try:
        [found] = refused(place, backup, "primary")
    finally:
        setting("ALTER SYSTEM RESET fsync", "on")
    assert (found.code, found.wanted, found.measured) == ("setting-differs", "on", "off")
    assert found.title.endswith(": setting fsync, value")
    matches(place, backup, "primary")


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


def test_many_differences_are_one_list():
    wanted = {"relation": {f"t{n}": {"owner": "a"} for n in range(300)}}
    found = {"relation": {f"t{n}": {"owner": "b"} for n in range(300)}}
    made = differences.findings(list(differences.between(wanted, found)), lambda one: "schema-differs", ("x",))
    assert len(made) == differences.MOST + 1
    assert "200 more differences" in made[-1].title


def test_parts_of_a_missing_table_are_not_named_apart():
    wanted = {"relation": {"t": {}}, "column": {"t.a": {"of": "t"}, "t.b": {"of": "t"}}}
    assert [one.label for one in differences.between(wanted, {"relation": {}, "column": {}})] == ["relation t"]


def test_a_long_definition_is_shown_from_where_it_differs():
    body = "line\n" * 200
    one = differences.Difference("function", "f()", "definition", body + "SET a = 1;\n", body + "PASSWORD 'hunter2';\n")
    wanted, measured = differences.pair(one)
    assert wanted == "...SET a = 1;\n"
    assert "hunter2" not in measured
    assert USER_PASSWORD not in measured
