"""Values of any type become values that JSON represents exactly."""

import pytest

from drillbook.journal.journal import FILE, Journal, read
from drillbook.journal.json_values import json_object
from drillbook.redact import Redactor
from tests.contents import content
from tests.journal.test_journal_cases import journal as journal


def test_values_that_json_cannot_carry_exactly_are_text(tmp_path):
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    journal.append(
        content(
            "note",
            {
                "big": 2**60,
                "nan": float("nan"),
                "odd": "\udc80",
                "set": {1},
                "ok": 2**53 - 1,
                "huge": 1e17,
                "raw": b"\xff",
                "\udc80": 1,
                "half": 0.5,
            },
        )
    )
    journal.close()
    assert read(tmp_path / FILE).events[0].data == {
        "big": str(2**60),
        "nan": "nan",
        "odd": "\\udc80",
        "set": [1],
        "ok": 2**53 - 1,
        "huge": "1e+17",
        "raw": "\\xff",
        "\\udc80": 1,
        "half": 0.5,
    }


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-(2**53), str(-(2**53))),
        (2**53, str(2**53)),
        (-(2**53 - 1), -(2**53 - 1)),
        (1.5, 1.5),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        ((1, "x"), [1, "x"]),
        (frozenset({"x"}), ["x"]),
        ({1: {"y": b"z"}}, {"1": {"y": "z"}}),
        (ValueError("odd"), "odd"),
        ("\ud800", "\\ud800"),
        (b"\x80", "\\x80"),
    ],
)
def test_every_value_is_kept_as_json_can_carry_it(journal, tmp_path, value, kept):
    journal.append(content("note", {"value": value}))
    assert read(tmp_path / FILE).events[0].data == {"value": kept}
    assert type(read(tmp_path / FILE).events[0].data["value"]) is type(kept)


@pytest.mark.parametrize(
    ("data", "parsed"),
    [(b'{"a": 1}', {"a": 1}), (b"[1]", {}), (b"{", {}), (b"\xff", {}), (b"", {}), (b"[" * 100_000, {})],
    ids=["object", "list", "torn", "no text", "empty", "too deep"],
)
def test_data_that_is_no_object_gives_an_empty_one(data, parsed):
    assert json_object(data) == parsed
