"""Canonical JSON: all implementations give the bytes of RFC 8785, compared with its test vectors and reference code."""

import json
import random
import struct

import pytest
import rfc8785

from drillbook import values
from drillbook.values import canonical, canonical_again

# Appendix B of RFC 8785: the bits of a double, and its text; NaN and infinity have none.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
# Section 3.2.2 and 3.2.3 of RFC 8785.
SAMPLE = {
    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": '\u20ac$\u000f\nA\'B"\\\\"/',
    "literals": [None, True, False],
}
SAMPLE_TEXT = (
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
    '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
)
KEYS = {
    "\u20ac": "Euro Sign",
    "\r": "Carriage Return",
    "\ufb33": "Hebrew Letter Dalet With Dagesh",
    "1": "One",
    "\U0001f600": "Emoji: Grinning Face",
    "\u0080": "Control",
    "\u00f6": "Latin Small Letter O With Diaeresis",
}
ORDER = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
@pytest.mark.parametrize("around", ["%s", "[%s]", '{"a":%s,"b":1}'])
def test_numbers_of_the_rfc(bits, text, around):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    made = {"%s": number, "[%s]": [number]}.get(around, {"b": 1, "a": number})
    assert canonical(made).decode() == canonical_again(made).decode() == around % text


def test_the_samples_of_the_rfc():
    assert canonical(SAMPLE).decode() == SAMPLE_TEXT
    assert list(json.loads(canonical(KEYS))) == ORDER


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 2**53, -(2**53), 10**400])
def test_numbers_without_a_text_are_refused(number):
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical({"a": [number]})


@pytest.mark.parametrize(
    "value", [{1: "a"}, {"a": {None: 1}}, [{True: 1}], {"a": object()}, {"a": b"x"}, "\ud800", {"a": {1}}]
)
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical(value)


def drawn(random_, depth=3):
    """JSON value with the numbers and characters that encoders most often write differently."""
    kind = random_.randrange(9 if depth else 7)
    if kind == 7:
        return [drawn(random_, depth - 1) for _ in range(random_.randrange(4))]
    if kind == 8:
        return {text(random_): drawn(random_, depth - 1) for _ in range(random_.randrange(5))}
    return [
        lambda: text(random_),
        lambda: random_.choice([None, True, False]),
        lambda: random_.randrange(-(2**53) + 1, 2**53),
        lambda: random_.choice([0.0, -0.0, 1.0, -1.0, 1e16, 1e15, 123456789012345.0, 5e-05, 1e-07, 0.1, 100.0]),
        lambda: random_.uniform(-1, 1) * 10.0 ** random_.randrange(-12, 25),
        lambda: round(random_.uniform(0, 1000), random_.randrange(8)),
        lambda: random_.randrange(1000),
    ][kind]()


def text(random_):
    pool = [
        "a",
        "B",
        "1.0",
        ":1.0,",
        "[-0]",
        ",1e5,",
        '"',
        "\\",
        "\n",
        "\x00",
        "\x7f",
        "\u2028",
        "é",
        "\ufb33",
        "\U0001f600",
        "e+5",
    ]
    return "".join(random_.choice(pool) for _ in range(random_.randrange(5)))


def test_the_fast_way_makes_the_bytes_of_the_reference_or_leaves_it_to_it():
    fast = 0
    for seed in range(3000):
        value = drawn(random.Random(seed))
        wanted = rfc8785.dumps(value)
        assert canonical(value) == wanted, value
        assert canonical_again(value) == wanted, value
        fast += values.fast_canonical(value) is not None
    assert fast > 500, "the fast way is used"
    event = {"seq": 3, "clock": 1.25, "data": {"argv": ["true"], "seconds": 0.00412, "hash": "sha256:" + "5e3" * 20}}
    assert values.fast_canonical(event) is not None
