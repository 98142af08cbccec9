"""Parsing lines in groups: accepted lines are canonical JSON, with the same bytes as the encoder of RFC 8785 writes."""

import json
import random

import pytest
import rfc8785

from drillbook.journal import canonical_lines
from tests.ground.test_canonical_json import drawn

PARTS = [
    b"1.0",
    b"-0",
    b"1e5",
    b"1E5",
    b"0.00001",
    b"0.0001",
    b"1.50",
    b" ",
    b",",
    b'"',
    b"\\u0041",
    b"{",
    b"}",
    b"NaN",
    b"9" * 17,
]


def parsed(lines):
    """Values of ``lines``; None when the proof that they are canonical fails."""
    try:
        return canonical_lines.parsed(lines)
    except ValueError:
        return None


def test_values_of_canonical_lines():
    known = 0
    for seed in range(2000):
        lines = [rfc8785.dumps(drawn(random.Random(seed))) for seed in (seed, seed + 5000)]
        found = parsed(lines)
        assert found in (None, [json.loads(line) for line in lines])
        known += found is not None
    assert known > 500


def test_what_is_parsed_is_canonical_whatever_was_changed():
    known = 0
    for seed in range(4000):
        dice = random.Random(seed)
        line = rfc8785.dumps({"clock": 1.25, "data": {"a": [1, 2], "b": "x"}, "drawn": drawn(dice)})
        at = dice.randrange(len(line) + 1)
        changed = line[:at] + dice.choice(PARTS) + line[at + dice.randrange(3) :]
        found = parsed([line, changed])
        if found is not None:
            known += 1
            assert [rfc8785.dumps(value) for value in found] == [line, changed]
    assert known > 20


@pytest.mark.parametrize(
    "line",
    [
        b'{"b":1,"a":2}',
        b'{"a":{"c":1,"b":2}}',
        b'[{"b":1,"a":2}]',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":-0}',
        b'{"a":-0.0}',
        b'{"a":1e5}',
        b'{"a":0.000000001}',
        b'{"a":9007199254740993}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        b'{"a": 1}',
        b' {"a":1}',
        b'{"a":1} ',
        b'{"a":1},{"a":1}',
        b'{"a":[1',
        b"",
        b"\xff",
        '{"\ufb33":1,"\U0001f600":2}'.encode(),
    ],
)
def test_a_line_that_is_not_canonical(line):
    assert parsed([b"{}", line]) is None


def test_two_lines_that_are_canonical_only_together():
    assert parsed([b'{"a":[1', b"2]}"]) is None


def test_every_character_of_a_text():
    for start in range(0, 0x10000, 0x100):
        text = "".join(map(chr, range(start, start + 0x100)))
        if not 0xD800 <= start < 0xE000:
            line = rfc8785.dumps({"a": text})
            assert parsed([line]) == [{"a": text}]
