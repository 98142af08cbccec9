"""Sabotage of a cluster between a backup and its verification: roles, settings, databases and rules of access."""

import pytest

from tests.systems.postgres import fixtures, sabotaged
from tests.systems.postgres.sabotaged import matches, refused
from tests.systems.postgres.site import BUCKET
from tests.waiting import until

place, primary, backup, whole = fixtures.place, fixtures.primary, sabotaged.backup, sabotaged.whole


def test_the_place_of_the_backup_is_compared_with_its_cluster(place, backup, whole):
    facts = matches(place, backup, "primary")
    assert facts["cluster"]["rule of pg_hba.conf"] > 1
    assert "recomputed" not in facts
    assert "the cluster" not in matches(place, backup, "primary", cluster=False).get("cluster", {})


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
