"""Passwords in a schema are masked, and nothing else."""

from drillbook.systems.postgres import schema

SECRETIVE = """\
CREATE USER MAPPING FOR clerk SERVER far OPTIONS (
    password 'hunt''er2;',
    "user" 'clerk',
    vault 'hunter2'
);
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
    dbname 'shop',
    sslpassword 'hunter2'
);
CREATE FOREIGN TABLE t (
    a integer OPTIONS (column_name 'token') NOT NULL
) SERVER far OPTIONS (api_key 'hunter2', schema_name 'public');
CREATE SUBSCRIPTION s CONNECTION 'host=far user=rep password=hunter2' PUBLICATION p WITH (connect = false);
CREATE SUBSCRIPTION q CONNECTION 'host=far password=''it\\''s hunter2'' port=5433' PUBLICATION p;
CREATE SUBSCRIPTION u CONNECTION 'postgresql://rep:hunter2@far/shop' PUBLICATION p;
CREATE SUBSCRIPTION w CONNECTION 'no connection string with hunter2' PUBLICATION p;
ALTER DATABASE shop SET "app.jwt_secret" TO 'hunter2';
ALTER DATABASE shop SET password_encryption TO 'md5';
"""


def test_passwords_that_a_schema_declares_are_masked_and_nothing_else():
    masked = schema.normalised(SECRETIVE)
    assert "hunt" not in masked
    for kept in (
        "\"user\" 'clerk'",
        "dbname 'shop'",
        "column_name 'token'",
        "schema_name 'public'",
        "host=far",
        "user=rep",
        "port=5433",
        "PUBLICATION p",
        "password_encryption TO 'md5'",
    ):
        assert kept in masked, kept
    assert schema.normalised(masked) == masked
    assert schema.normalised(SECRETIVE.replace("dbname 'shop'", "dbname 'shop2'")) != masked, "the rest is compared"
