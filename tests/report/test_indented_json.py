"""Indented JSON is identical to the output of the standard library."""

import enum
import json
import random
from collections import OrderedDict

from drillbook.report.figures import pretty, shown
from drillbook.report.indented_json import indented, of_json

TEXTS = ["", "a", "\n", '\t"\\', "ä\x7f\u2028", "\U0001f600", "x" * 50, "\x00", "\ud800"]


class Word(enum.StrEnum):
    ONE = "o\nne"


class Number(enum.IntEnum):
    TWO = 2


def value(dice, depth=0):
    kinds = 9 if depth < 4 else 7
    return [
        lambda: dice.choice(TEXTS),
        lambda: dice.randint(-(10**20), 10**20),
        lambda: dice.choice([0.1, -0.0, 1e300, 5e-324, 1.0, 123456789.123, float("nan"), float("inf")]),
        lambda: dice.choice([True, False, None]),
        lambda: dice.choice([Word.ONE, Number.TWO]),
        lambda: dice.choice([{}, [], ()]),
        lambda: OrderedDict({dice.choice(TEXTS): [1, {"a": "b"}]}),
        lambda: {dice.choice([*TEXTS, 1, None, True, 2.5]): value(dice, depth + 1) for _ in range(dice.randint(0, 4))},
        lambda: dice.choice([list, tuple])([value(dice, depth + 1) for _ in range(dice.randint(0, 4))]),
    ][dice.randrange(kinds) if depth else dice.randint(7, 8)]()


def test_every_value_has_the_text_of_the_standard_library():
    dice = random.Random(8785)
    for _ in range(3000):
        made = value(dice)
        assert indented(made) == json.dumps(made, ensure_ascii=False, indent=2)


def test_every_value_read_from_json_has_the_text_of_the_standard_library():
    dice = random.Random(8785)
    numbers = [repr(dice.uniform(-1, 1) * 10.0 ** dice.randint(-30, 30)) for _ in range(3000)]
    texts = [json.dumps(value(dice)) for _ in range(3000)]
    others = ["1e-5", "1e-4", "1e16", "9999999999999998.0", "-1e-05", "1E400", "-0", '["a 0.00001", 1]', '{"": 1e-9}']
    for text in [*numbers, *texts, *others]:
        made = json.loads(text)
        for one in (made, [made], {"a": made}):
            assert of_json(one) == json.dumps(one, ensure_ascii=False, indent=2)


def test_pretty_sorts_keys_and_remembers_nothing_of_another_value():
    dice = random.Random(1)
    made = [value(dice) for _ in range(300)]
    for one in [*made, {"b": 1, "a": [True]}, {"b": True, "a": [1]}, {"b": 1.0, "a": [1]}, {"a": "long" * 1000}]:
        try:
            wanted = json.dumps(one, ensure_ascii=False, indent=2, sort_keys=True, default=str)
        except TypeError:  # keys of different types cannot be sorted
            continue
        assert pretty(one) == wanted
        assert pretty(one) == wanted


def test_a_character_that_is_printed_as_it_is_was_never_a_hidden_one():
    for code in range(0x110000):
        char = chr(code)
        if char.isprintable():
            assert shown(char) == shown(Shown(char)) == char


class Shown(str):
    """Text that `shown` does not recognise as printable."""
