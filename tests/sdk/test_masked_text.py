"""Passwords in texts that a report shows."""

import pytest

from drillbook.sdk.masked_text import names_secret, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2 user=ann", "password=*** user=ann"),
        ('{"api_key": "hunter2", "n": 1}', '{"api_key": ***, "n": 1}'),
        ('{"a": {"password": "it\\"s hunter2"}}', '{"a": {"password": ***}}'),
        ('password = "hunter2 of a text that was cut', "password = ***"),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: ***"),
        ("ALTER ROLE a PASSWORD 'it''s hunter2' LOGIN", "ALTER ROLE a PASSWORD *** LOGIN"),
        ("password := E'x'", "password := ***"),
        ("postgres://ann:hunter2@db/shop", "postgres://ann:***@db/shop"),
        ("redis://:hunter2@cache", "redis://:***@cache"),
        ("the password is wrong", "the password is wrong"),
        ("http://host:80/a?b=1", "http://host:80/a?b=1"),
    ],
)
def test_a_value_after_the_name_of_a_password_is_hidden(text, expected):
    assert shown(text) == expected


def test_names_of_passwords():
    assert all(map(names_secret, ("password", "DB_PASSWORD", "apiKey", "access_token_2")))
    assert not any(map(names_secret, ("pass", "note", "my password", "")))
