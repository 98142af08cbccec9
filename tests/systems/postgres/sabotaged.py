"""A database and a cluster with every kind of object that a drill's comparison covers, and a backup of them."""

import contextlib

import pytest

from drillbook.errors import StepFailed
from tests.systems.postgres.site import BUCKET
from tests.waiting import until

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


def matches(place, backup, service="spare", **fields):
    return place.run("postgres.matches", service=service, manifest=backup["manifest"], **fields)


def refused(place, backup, service="spare", **fields):
    with pytest.raises(StepFailed) as failure:
        matches(place, backup, service, **fields)
    return failure.value.findings
