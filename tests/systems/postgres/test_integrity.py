"""Integrity of a database: amcheck finds damage that a comparison of rows does not."""

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.postgres import fixtures

place, primary = fixtures.place, fixtures.primary


@pytest.fixture
def installed(primary):
    primary.sql("CREATE EXTENSION amcheck")
    yield primary
    primary.sql("DROP EXTENSION amcheck")


def refused(place, **fields):
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.intact", service="primary", **fields)
    return failure.value


def test_a_healthy_database_is_intact_and_the_facts_say_what_was_not_covered(place, installed):
    installed.sql("CREATE TABLE spans (a int4range); CREATE INDEX ON spans USING gist (a)")
    try:
        facts = place.run("postgres.intact", service="primary")
    finally:
        installed.sql("DROP TABLE spans")
    assert facts["indexes"] > 100
    assert facts["tables"] > 80
    assert facts["not_covered"]["indexes of the method gist"] == 1
    assert (facts["amcheck"], facts["heap"], facts["data_checksums"], facts["checksum_failures"]) == (
        "installed",
        True,
        True,
        0,
    )


def test_an_index_without_some_rows_is_found_with_its_name(place, installed):
    """As after copying a data directory: the rows exist, and a query through the index does not find them."""
    ready = "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'lacking_a'::regclass"
    installed.sql("CREATE TABLE lacking (a int); CREATE INDEX lacking_a ON lacking (a)", ready.format("false"))
    installed.sql("INSERT INTO lacking SELECT generate_series(1, 100)")
    installed.sql(ready.format("true"))
    try:
        failure = refused(place)
        assert place.run("postgres.intact", service="primary", heap=False)["heap"] is False
    finally:
        installed.sql("DROP TABLE lacking")
    [found] = failure.findings
    assert (found.code, found.title.rpartition(": ")[2]) == ("index-corrupt", "public.lacking_a")
    assert "lacks matching index tuple" in found.measured
    assert failure.facts["indexes"] > 100


@pytest.mark.parametrize(("relation", "code"), [("damaged_a", "index-corrupt"), ("damaged", "heap-corrupt")])
def test_a_damaged_page_is_found_with_its_name(place, installed, relation, code):
    """Counting rows does not read the damaged part, and everything else stays readable."""
    installed.sql("CREATE TABLE damaged (a int); INSERT INTO damaged SELECT generate_series(1, 5000)")
    installed.sql("CREATE INDEX damaged_a ON damaged (a)", "CHECKPOINT")
    [(path,)] = installed.sql(f"SELECT pg_relation_filepath('{relation}')")
    try:
        installed.kill()
        file = installed.data / path
        data = bytearray(file.read_bytes())
        data[2 * 8192 + 4000 : 2 * 8192 + 4064] = bytes(64)
        file.write_bytes(data)
        installed.start()
        assert code in {one.code for one in refused(place).findings}
        assert any(one.title.endswith(f": public.{relation}") for one in refused(place).findings)
    finally:
        installed.sql("DROP TABLE damaged")


def test_a_missing_extension_is_borrowed_only_when_asked(place, primary):
    with pytest.raises(CouldNotVerify, match="amcheck is not installed") as refusal:
        place.run("postgres.intact", service="primary")
    assert "borrow: true" in refusal.value.hint
    facts = place.run("postgres.intact", service="primary", borrow=True)
    assert (facts["amcheck"], facts["indexes"] > 100) == ("borrowed", True)
    assert primary.sql("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'") == [(0,)]


def test_a_collation_of_another_version_is_found(place, installed):
    installed.sql(
        "CREATE COLLATION older (provider = libc, locale = 'POSIX')",
        "UPDATE pg_collation SET collversion = '1' WHERE collname = 'older'",
    )
    try:
        [found] = refused(place).findings
    finally:
        installed.sql("DROP COLLATION older")
    assert (found.code, found.wanted, found.measured) == ("collation-version", "version 1", "version unknown")
    assert found.title.endswith(": collation public.older")
