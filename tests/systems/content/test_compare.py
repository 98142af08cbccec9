"""Differences between two readings: lines and JSON, with their order or without it, and numbers within a tolerance."""

import re

import pytest


@pytest.mark.parametrize(
    ("before", "after", "reading", "wanted"),
    [
        ("a 1\nb 2\n", "b 2\na 1\n", {}, None),
        ("a 1\nb 2\n", "b 2\na 1\n", {"ordered": True}, "line 1: a 1 became b 2; line 2: b 2 became a 1"),
        ("a 1\nb 2\n", "a 1\n", {}, "1 difference: missing: b 2"),
        ("a\na\n", "a\n", {}, "1 difference: missing: a"),
        ("a 1\n", "a 1\nb 2\n", {}, "1 difference: unexpected: b 2"),
        ("sum 10.0\n", "sum 10.4\n", {"tolerance": 0.5}, None),
        ("sum 10.0\n", "sum 10.6\n", {"tolerance": 0.5}, "missing: sum 10.0; unexpected: sum 10.6"),
        ("x 1\nx 2\n", "x 2\nx 3\n", {"tolerance": 1}, None),
        ("item-1 5\n", "item-2 5\n", {"tolerance": 0}, "missing: item-1 5"),
        ("at 12:00\na\n", "at 12:01\na\n", {"ignore": ["^at "]}, None),
    ],
)
def test_lines(shop, before, after, reading, wanted):
    found = shop.differences(before, after, **reading)
    assert wanted in (found or "") if wanted else found is None


@pytest.mark.parametrize(
    ("before", "after", "reading", "wanted"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [2, 1], "a": 1}, {}, None),
        ({"b": [1, 2]}, {"b": [2, 1]}, {"ordered": True}, "b.0: 1 became 2"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {}, "1 difference: a.b: 1 became 2"),
        ({"a": 1}, {"a": True}, {}, "a: 1 became true"),
        ({"a": 1.0}, {"a": 1}, {}, None),
        ({"a": 1.0}, {"a": 1.2}, {"tolerance": 0.3}, None),
        ({"a": 1}, {"a": 1, "b": None}, {}, "b: unexpected null"),
        ({"a": {"password": "one"}}, {"a": {"password": "two"}}, {}, "1 difference: a.password: *** became ***"),
        ({"tokens": ["one"]}, {"tokens": ["two"]}, {}, "2 differences: tokens: missing ***; tokens: unexpected ***"),
        ({"tokens": ["one"]}, {"tokens": ["two"]}, {"ordered": True}, "1 difference: tokens.0: *** became ***"),
        ({"a": 1}, {"a": 1, "secret": {"n": "two"}}, {}, "1 difference: secret: unexpected ***"),
        ({"a": [{"pwd": "one"}]}, {"a": [{"pwd": "two"}]}, {}, 'missing {"pwd": ***}; a: unexpected {"pwd": ***}'),
        ({"a": [{"n": 1, "seen": 5}]}, {"a": [{"n": 1, "seen": 9}]}, {"ignore": ["a.*.seen"]}, None),
        ({"a": [{"n": 1, "seen": 5}]}, {"a": [{"n": 2, "seen": 5}]}, {"ignore": ["a.*.seen"]}, 'missing {"n": 1}'),
    ],
)
def test_json(shop, before, after, reading, wanted):
    found = shop.differences(before, after, format="json", **reading)
    assert not {"one", "two"} & set(re.findall(r"\w+", found or "")), "passwords are hidden"
    assert wanted in (found or "") if wanted else found is None
