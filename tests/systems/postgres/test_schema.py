"""Schemas as text: the noise of two dumps, and passwords, are left out."""

from drillbook.systems.postgres import schema


def test_noise_of_two_dumps_of_one_schema():
    first = (
        "\\restrict abc\n-- Dumped from database version 15.1\nSET statement_timeout = 0;\n\nCREATE TABLE a (b int);\n"
        "ALTER DATABASE shop CONNECTION LIMIT = 40;\n\\unrestrict abc\n"
    )
    second = (
        "--\n-- PostgreSQL database dump\n--\n\\restrict xyz\nSET transaction_timeout = 0;\nCREATE TABLE a (b int);\n"
        "ALTER DATABASE shop CONNECTION LIMIT = 0;\nALTER DATABASE shop SET \"drillbook.connection_limit\" TO '40';\n"
    )
    assert schema.normalised(first) == schema.normalised(second) == "CREATE TABLE a (b int);\n"
    assert "+CREATE TABLE c;" in schema.difference("CREATE TABLE a;\n", "CREATE TABLE a;\nCREATE TABLE c;\n")


def test_a_difference_shows_no_password_of_a_function():
    body = "SELECT dblink('host=far password={} user=x'); -- postgresql://rep:{}@far/ PASSWORD '{}'\n"
    said = schema.difference(body.replace("{}", "hunter2"), body.replace("{}", "hunter3"))
    assert said.count("***") == 6
    assert "hunter" not in said
    assert "user=x" in said
