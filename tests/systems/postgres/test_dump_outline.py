"""Names in the SQL of a dump: what it needs, and what it makes."""

import pytest

from drillbook.systems.postgres.dump_outline import Made, outline_of, plain

CLUSTER = """\
-- PostgreSQL database cluster dump
SET client_encoding = 'LATIN1';
-- Dumped from database version 16.4 (Debian 16.4-1)
CREATE ROLE app;
CREATE TABLESPACE fast OWNER app LOCATION '/srv/fast';
CREATE DATABASE "Shop 1" WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = fast;
SET default_tablespace = slow;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
ALTER TABLE public.orders OWNER TO "Order ""1"" Clerk";
GRANT SELECT ON TABLE public.orders TO reader WITH GRANT OPTION;
REVOKE ALL ON TABLE public.orders FROM PUBLIC;
CREATE POLICY own ON public.orders TO auditor, app USING (true);
CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
""".splitlines()


def test_roles_and_tablespaces_that_the_dump_does_not_make_are_needed():
    outline = outline_of(CLUSTER)
    assert outline.roles == ('Order "1" Clerk', "auditor", "reader")
    assert outline.tablespaces == ("slow",)
    assert outline.extensions == ("uuid-ossp",)


def test_databases_and_the_server_of_a_cluster_are_told():
    outline = outline_of(CLUSTER)
    assert outline.databases == (Made("Shop 1", "WITH TEMPLATE = template0 ENCODING = 'UTF8' TABLESPACE = fast"),)
    assert (outline.encoding, outline.server, outline.of_cluster) == ("LATIN1", "16.4", True)
    assert (outline.subscriptions, outline.foreign_servers, outline.filtered) == (1, 1, False)


def test_a_dump_of_one_database_is_no_cluster_and_may_lack_rows():
    outline = outline_of(["SET row_security = on;", "CREATE TABLE public.a (b integer);"])
    assert (outline.of_cluster, outline.filtered, outline.encoding, outline.databases) == (False, True, "UTF8", ())
    assert outline.roles == outline.tablespaces == ()


@pytest.mark.parametrize("role", ["PUBLIC", "CURRENT_USER", "pg_read_all_data"])
def test_words_of_sql_and_roles_of_the_server_are_no_roles_to_make(role):
    assert outline_of([f"GRANT SELECT ON TABLE a TO {role};"]).roles == ()
    assert outline_of(["GRANT SELECT ON TABLE a TO clerk;"]).roles == ("clerk",)


def test_a_quoted_name_is_read_without_its_quotes():
    assert [plain(word) for word in ('"a ""b"""', "a")] == ['a "b"', "a"]
