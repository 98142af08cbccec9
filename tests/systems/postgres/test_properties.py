"""Properties of a database, of its cluster and of its server, as a backup records them."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.postgres import content, properties
from tests.systems.postgres import fixtures

place, small = fixtures.place, fixtures.small


def recorded(place):
    with content.snapshot(place.context(), place.clusters["small"].service) as snap:
        return properties.of(snap)


def test_a_database_is_recorded_with_its_limit_and_its_locale(place, small):
    small.sql("ALTER DATABASE shop CONNECTION LIMIT 7")
    try:
        found = recorded(place)["database"]
    finally:
        small.sql("ALTER DATABASE shop CONNECTION LIMIT -1")
    assert (found.name, found.owner, found.encoding, found.connection_limit) == ("shop", "clerk", "UTF8", 7)
    [(collate, ctype, size)] = small.sql(
        "SELECT datcollate, datctype, pg_database_size(oid) FROM pg_database WHERE datname = 'shop'"
    )
    assert (found.collate, found.ctype, found.provider) == (collate, ctype, "c")
    assert found.bytes == pytest.approx(size, rel=0.2)


def test_the_server_is_recorded_with_its_version_roles_and_extensions(place, small):
    found = recorded(place)
    assert found["server_version_num"] == int(small.sql("SHOW server_version_num")[0][0])
    assert [(found["system_identifier"],)] == small.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert found["roles"] == ("clerk", "postgres"), "without the roles of PostgreSQL itself"
    assert list(found["extensions"]) == ["plpgsql"]


def test_what_initdb_set_is_recorded(place, small):
    found = recorded(place)["cluster"]
    assert (found.wal_segment_bytes, found.group_access, found.icu_rules) == (16 << 20, False, "")
    [(checksums,)] = small.sql("SHOW data_checksums")
    assert recorded(place)["data_checksums"] is (checksums == "on")


def test_files_in_the_data_directory_are_recorded_and_others_named(place, small):
    outside, conf = small.data.parent / "more.conf", small.data / "postgresql.conf"
    before = conf.read_text()
    outside.write_text("work_mem = '5MB'\n")
    outside.chmod(0o644)
    (small.data / "inside.conf").write_text("lock_timeout = '9s'\n")
    (small.data / "inside.conf").chmod(0o644)
    conf.write_text(f"{before}include = '{outside}'\ninclude = 'inside.conf'\n")
    try:
        with small.connect() as session:
            kept = properties.configuration(session)
            assert properties.configured_outside(session) == (str(outside),)
    finally:
        conf.write_text(before)
        (small.data / "inside.conf").unlink()
    assert {"postgresql.conf", "pg_hba.conf", "pg_ident.conf", "inside.conf"} <= set(kept)
    assert kept["inside.conf"] == b"lock_timeout = '9s'\n"
    assert b"max_connections = 14" in kept["postgresql.conf"]


def test_a_file_whose_name_no_backup_can_hold_is_told(place, small):
    conf = small.data / "postgresql.conf"
    before = conf.read_text()
    odd = small.data / "odd\\name.conf"
    odd.write_text("lock_timeout = '9s'\n")
    odd.chmod(0o644)
    conf.write_text(f"{before}include = 'odd\\\\name.conf'\n")
    try:
        with small.connect() as session, pytest.raises(CouldNotVerify, match="a name that cannot be stored in a backup"):
            properties.configuration(session)
    finally:
        conf.write_text(before)
        odd.unlink()
