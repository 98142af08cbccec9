"""A database with all features that could confuse a comparison."""

from tests.systems.postgres.site import USER_PASSWORD, Cluster

ROLES = (
    f"CREATE ROLE clerk LOGIN PASSWORD '{USER_PASSWORD}'",
    "CREATE ROLE auditor NOLOGIN",
    "CREATE DATABASE shop TEMPLATE template0 OWNER clerk CONNECTION LIMIT 40",
)

STATEMENTS = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (a int, b text)",
    """CREATE TABLE types (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, i int, f double precision, r real, n numeric, t text, c char(5),
        v varchar(20), b bytea, bo boolean, d date, ts timestamp, tz timestamptz, tm time, iv interval, u uuid, j json,
        jb jsonb, ip inet, m money, e mood, dom positive, arr int[], tarr text[][], comp pair, rng int4range,
        bits bit varying(8), ts_v tsvector, doubled int GENERATED ALWAYS AS (i * 2) STORED)""",
    """INSERT INTO types (i, f, r, n, t, c, v, b, bo, d, ts, tz, tm, iv, u, j, jb, ip, m, e, dom, arr, tarr, comp, rng, bits, ts_v)
       SELECT g, CASE g % 4 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN '-0'::float8 WHEN 2 THEN 'Infinity'::float8 ELSE g / 3.0 END,
        g / 7.0, g * 1.10, E'täxt\\t\\n\\\\ ' || g, 'ab', 'vv', decode(md5(g::text), 'hex'), g % 2 = 0, '2026-01-01'::date - g * 100,
        '0044-03-15 BC'::timestamp + g * interval '1 hour', '2026-10-25 02:30:00+02'::timestamptz + g * interval '1 second',
        '23:59:59.999', g * interval '1 mon -1 day 00:00:01.5', md5(g::text)::uuid, '{"b": 1, "a": [1, null]}', '{"b": 1.0, "a": null}',
        '10.0.0.1/8', g * 1.5::money, (ARRAY['sad', 'ok', 'happy']::mood[])[g % 3 + 1], g, ARRAY[g, NULL, 3],
        ARRAY[['a', 'b"c'], ['', NULL]], ROW(g, 'x,y')::pair, int4range(g, g + 5), B'1010', to_tsvector('simple', 'a fat cat')
       FROM generate_series(1, 2000) AS g""",
    'CREATE SCHEMA "Odd Schema"',
    'CREATE TABLE "Odd Schema"."Table ""x"".%s" ("_row_" int, "Sp ace" text)',
    """INSERT INTO "Odd Schema"."Table ""x"".%s" VALUES (1, 'one'), (2, NULL), (2, NULL)""",
    "CREATE TABLE empty (a int)",
    "CREATE TABLE none ()",
    "INSERT INTO none DEFAULT VALUES",
    "CREATE TABLE dropped (a int, b text, c int); ALTER TABLE dropped DROP COLUMN b; INSERT INTO dropped VALUES (1, 2)",
    "CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')",
    "CREATE TABLE parts_2 PARTITION OF parts DEFAULT",
    "INSERT INTO parts SELECT g, '2026-01-01'::date + g FROM generate_series(0, 364) AS g",
    "CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent)",
    "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3)",
    "ALTER TABLE parent ADD COLUMN c int DEFAULT 7",  # a dump creates it as the second column of the child, although it is the third
    "CREATE UNLOGGED TABLE unlogged (a int); INSERT INTO unlogged VALUES (7)",
    "CREATE TABLE secured (a int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "INSERT INTO secured VALUES (1), (2)",
    "CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL, type_id bigint REFERENCES types (id))",
    "INSERT INTO orders (item, type_id) SELECT 'item ' || g, g FROM generate_series(1, 500) AS g",
    "CREATE SEQUENCE untouched",
    "CREATE SEQUENCE down INCREMENT -2",
    "SELECT nextval('down'), nextval('down')",
    "CREATE MATERIALIZED VIEW summary AS SELECT e, count(*) FROM types GROUP BY e",
    "CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS a WITH NO DATA",
    "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS $$\n-- a comment that stays\nSELECT a * 2\n$$",
    "CREATE INDEX ON types (twice(i))",
    "SELECT lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'))",
    "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO clerk",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk",
    "GRANT SELECT ON types TO auditor",
    "ALTER TABLE orders OWNER TO clerk",
    "ALTER DATABASE shop SET work_mem = '5MB'",
    "COMMENT ON DATABASE shop IS 'a shop; with ''quotes'''",
    "GRANT CONNECT ON DATABASE shop TO auditor",
    "REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC",
    "ALTER ROLE clerk IN DATABASE shop SET statement_timeout = '30s'",
)


def fill(cluster: Cluster) -> None:
    cluster.sql(*ROLES, database="postgres")
    cluster.sql(*STATEMENTS)
