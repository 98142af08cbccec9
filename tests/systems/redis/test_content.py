"""Content of a keyspace: names of keys as text, and digests that depend only on the values."""

import hashlib

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.redis import content
from drillbook.systems.redis.connection import connected


@pytest.mark.parametrize(
    ("key", "text"),
    [(b"session:1", "session:1"), (b"a b/c", "a b/c"), (b"100%", "100%25"), (b"\xff\n", "%FF%0A"), ("ü".encode(), "%C3%BC")],
)
def test_the_name_of_a_key_is_printable_and_unambiguous(key, text):
    assert content.text_of(key) == text


def test_the_mark_of_a_run_is_one_of_drillbooks_own_keys():
    assert content.mark_of("r1") == "drillbook:r1:saved"
    assert content.mark_of("r1").startswith(content.OWN)


def digest(kind, *answers):
    return content._digest(kind, list(answers))


def test_a_digest_depends_on_the_value_and_not_on_the_order_of_a_set():
    assert digest("string", b"x") == hashlib.sha256(b"string\0l1:b1:x").hexdigest()
    assert digest("set", [b"a", b"b"]) == digest("set", [b"b", b"a"])
    assert digest("hash", [b"f", b"1", b"g", b"2"]) == digest("hash", [b"g", b"2", b"f", b"1"])
    assert digest("list", [b"a", b"b"]) != digest("list", [b"b", b"a"])


def test_different_values_have_different_digests():
    values = [
        ("string", b""),
        ("string", b"ab"),
        ("list", [b"ab"]),
        ("list", [b"a", b"b"]),
        ("list", [b"a", b"", b"b"]),
        ("list", [None]),
        ("list", [1]),
        ("set", [b"a", b"b"]),
        ("hash", [b"a", b"b"]),
        ("zset", [b"a", b"b"]),
    ]
    assert len({digest(kind, value) for kind, value in values}) == len(values)


def test_of_a_stream_only_what_lasts_is_compared():
    entries = [[b"1-1", [b"a", b"1"]]]
    group = [b"name", b"readers", b"consumers", 0, b"last-delivered-id", b"1-1", b"pending", 0]
    stream = digest("stream", entries, [b"length", 1, b"last-generated-id", b"1-1"], [group])
    assert digest("stream", entries, [b"last-generated-id", b"1-1", b"radix-tree-keys", 9], [group]) == stream
    assert digest("stream", entries, [b"last-generated-id", b"2-1"], [group]) != stream
    assert digest("stream", entries, [b"last-generated-id", b"1-1"], [[*group[:-1], 1]]) != stream


def test_every_key_of_every_database_is_read_once(cache):
    with connected(cache.context(), cache.service) as session:
        keys = content.read(session)
        listed = [key for batch in content.names(session, "session:*") for key in batch]
    assert {database: len(entries) for database, entries in keys.items()} == {"0": 308, "3": 1}
    assert keys["0"]["queue"].type == "list"
    assert keys["0"]["queue"].expires_ms is None
    assert len(listed) == len(set(listed)) == 150


def test_more_keys_than_a_manifest_can_hold_are_refused(cache, monkeypatch):
    monkeypatch.setattr(content, "MOST_KEYS", 100)
    with connected(cache.context(), cache.service) as session, pytest.raises(CouldNotVerify, match="the list of keys"):
        content.read(session)
