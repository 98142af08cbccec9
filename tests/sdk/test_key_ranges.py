"""Comparison of two databases by ranges of a key, and of their numbers of rows, on real databases of SQLite."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from drillbook.errors import CouldNotVerify, PlanError, StepFailed
from drillbook.sdk import key_ranges
from drillbook.sdk.earlier_results import EarlierStep
from drillbook.sdk.key_ranges import Keyed, Rows, Wanted


class Reader:
    """Tables `NAME(id, text)` of one database."""

    def __init__(self, session):
        self.session = session

    def one(self, query, *values):
        return self.session.execute(query, values).fetchone()[0]

    def names(self):
        return [name for (name,) in self.session.execute("SELECT name FROM sqlite_master ORDER BY 1")]

    def has(self, table):
        return table in self.names()

    def count(self, table):
        return self.one(f"SELECT count(*) FROM {table}")

    def bounds(self, table, keyed):
        ids = [row for (row,) in self.session.execute(f"SELECT id FROM {table} WHERE id NOT NULL ORDER BY id")]
        ids = ids[: max(0, len(ids) - keyed.margin)]
        step = -(-len(ids) // keyed.ranges) or 1
        return [str(ids[min(at + step, len(ids)) - 1]) for at in range(0, len(ids), step)]

    def rows(self, table, key, low, high):
        where = f"{key} > {low or 0} AND {key} <= {high}" if key else "1"
        found = self.session.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY id").fetchall()
        return Rows(len(found), hashlib.sha256(repr(found).encode()).hexdigest())

    def outside(self, table, key, high):
        return self.one(f"SELECT count(*) FROM {table} WHERE {key} > {high}"), self.one(
            f"SELECT count(*) FROM {table} WHERE {key} IS NULL"
        )


@pytest.fixture
def pair():
    """Copy with ten orders, and production with two more."""
    with closing(sqlite3.connect(":memory:")) as copy, closing(sqlite3.connect(":memory:")) as production:
        for session, number in ((copy, 10), (production, 12)):
            session.execute("CREATE TABLE orders(id, text)")
            session.execute("CREATE TABLE countries(id, text)")
            session.executemany("INSERT INTO orders VALUES (?, 'x')", [(row + 1,) for row in range(number)])
            session.execute("INSERT INTO countries VALUES (1, 'de')")
        yield copy, production


def compare(pair, tables, **parts):
    return key_ranges.compare(*map(Reader, pair), Wanted(tables, **parts))


def codes(result):
    return [(found.code, found.title.rpartition(": ")[2]) for found in result.findings]


ORDERS = {"orders": Keyed(key="id", margin=2, ranges=2)}


def test_rows_up_to_the_margin_are_equal_although_production_grew(pair):
    result = compare(pair, {**ORDERS, "countries": Keyed()})
    assert result.findings == []
    assert result.ranges["orders"] == [
        {"range": "id up to 4", "rows": 4, "equal": True},
        {"range": "id above 4, up to 8", "rows": 4, "equal": True},
    ]
    assert result.ranges["countries"] == [{"range": "whole table", "rows": 1, "equal": True}]
    assert result.not_compared["orders"].startswith("rows with id above 8: 2 in the copy, 4 in production")
    facts = result.facts("sha256")
    assert (facts["tables"], facts["rows"], facts["algorithm"]) == (2, 9, "sha256")
    assert result.answer("copy", facts) is facts


def test_a_row_that_differs_is_told_with_its_range(pair):
    pair[0].execute("UPDATE orders SET text = 'y' WHERE id = 5")
    result = compare(pair, ORDERS)
    assert codes(result) == [("copy-differs", "orders, id above 4, up to 8")]
    assert [part["equal"] for part in result.ranges["orders"]] == [True, False]
    with pytest.raises(StepFailed, match="copy differs from production in 1 places"):
        result.answer("copy", {})


def test_a_table_of_which_nothing_was_compared_verifies_nothing(pair):
    result = compare(pair, {"orders": Keyed(key="id", margin=10)})
    assert (result.ranges, result.unverified) == ({}, ["orders"])
    with pytest.raises(CouldNotVerify, match="every row of the copy belongs to its newest 10 rows"):
        result.answer("copy", {})
    pair[1].execute("DROP TABLE countries")
    with pytest.raises(CouldNotVerify, match="production has no such table"):
        compare(pair, {"countries": Keyed()}).answer("copy", {})


def test_a_missing_table_is_one_finding(pair):
    pair[0].execute("DROP TABLE countries")
    assert codes(compare(pair, {"countries": Keyed()})) == [("table-missing", "countries")]
    assert codes(compare(pair, {"countries": Keyed()}, tolerance=1.0)) == [("table-missing", "countries")]


@pytest.mark.parametrize(("tolerance", "expected"), [(0.17, []), (0.16, [("copy-volume", "orders")])])
def test_the_numbers_of_rows_may_differ_by_the_tolerance(pair, tolerance, expected):
    result = compare(pair, {}, tolerance=tolerance)
    assert codes(result) == expected
    assert result.volume == {"countries": [1, 1], "orders": [10, 12]}
    assert result.not_compared["orders"] == "only the number of rows in the table was compared"


def test_the_copy_is_compared_with_that_of_an_earlier_run(pair):
    last = EarlierStep("r0", "2026-11-27", {"volume": {"orders": [20, 20], "gone": [5, 5]}})
    result = compare(pair, {}, history=0.3, last=last)
    assert codes(result) == [("copy-volume", "orders")]
    assert result.history == {"run": "r0", "started": "2026-11-27", "tables": 1, "new": ["countries"], "gone": ["gone"]}
    assert codes(compare(pair, {}, history=0.5, last=last)) == []
    assert "no earlier run" in compare(pair, {}, history=0.5).history["not_compared"]


def test_a_comparison_of_nothing_is_refused():
    with pytest.raises(PlanError, match="so that something is compared"):
        key_ranges.wanted(None, "mariadb.compare", "copy", {}, tolerance=None, history=None)
