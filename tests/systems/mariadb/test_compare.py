"""Differences between the content of a server and that of its copy."""

import pytest

from drillbook.systems.mariadb import compare
from drillbook.systems.mariadb.content import Content, Table


def content(tables=(), definitions=(), server="11.8"):
    return Content(database="shop", server=server, tables=dict(tables), definitions=dict(definitions))


def orders(**changes):
    return {"orders": Table(kind="BASE TABLE", rows=3, digest="9").model_copy(update=changes)}


def differences(wanted, copy, skipped=()):
    found = compare.tables(content(wanted), content(copy), skipped)
    return [(one.code, one.title.rpartition(": ")[2], one.wanted, one.measured) for one in found]


WANTED = "3 rows, digest 9"


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        (orders(), []),
        ({}, [("table-missing", "orders", WANTED, "no such base table")]),
        (orders(rows=2), [("table-content", "orders", WANTED, "2 rows, digest 9")]),
        (orders(digest="8"), [("table-content", "orders", WANTED, "3 rows, digest 8")]),
        (orders(kind="VIEW"), [("schema-differs", "orders", "base table", "view")]),
        (orders(error="crashed"), [("table-content", "orders", WANTED, "the object could not be read: crashed")]),
        (
            {**orders(), "late": Table(kind="VIEW")},
            [("table-unexpected", "late", "no such table", "a view")],
        ),
    ],
    ids=["equal", "missing", "rows", "digest", "kind", "unreadable", "additional"],
)
def test_each_difference_of_a_table_has_its_finding(copy, expected):
    assert differences(orders(), copy) == expected


def test_the_rows_of_an_ignored_table_are_not_compared_but_its_existence_is():
    assert differences(orders(), orders(rows=2), skipped=("orders",)) == []
    assert [code for code, *_ in differences(orders(), {}, skipped=("orders",))] == ["table-missing"]


def test_a_sequence_with_other_numbers_is_behind():
    first, second = ({"numbers": Table(kind="SEQUENCE", rows=1, digest=digest)} for digest in "12")
    assert [code for code, *_ in differences(first, second)] == ["sequence-behind"]


def test_rows_that_the_server_itself_could_not_read_are_no_difference_but_not_compared():
    wanted = orders(error="crashed")
    assert differences(wanted, orders()) == []
    assert compare.not_compared(content(wanted), content(orders()), {})["orders"] == "crashed"


def definitions(wanted, copy, texts=None, copies=None):
    found = compare.definitions(content(definitions=wanted), content(definitions=copy), texts or {}, copies or {})
    return [(one.code, one.title.rpartition(": ")[2], one.wanted, one.measured) for one in found]


def test_a_definition_is_shown_by_the_first_line_that_differs():
    texts = ("CREATE TABLE a (\n  x int,\n  y int\n)", "CREATE TABLE a (\n  x int,\n  y text\n)")
    first, second = ({"table a": text} for text in texts)
    assert definitions({"table a": "1"}, {"table a": "2"}, first, second) == [
        ("schema-differs", "table a", "y int", "y text")
    ]
    shorter = {"table a": texts[0].removesuffix("\n)")}
    assert definitions({"table a": "1"}, {"table a": "2"}, first, shorter)[0][2:] == (")", "no further line")
    assert definitions({"table a": "1"}, {"table a": "2"})[0][2:] == (
        "the definition in the manifest",
        "a different definition",
    )


def test_a_definition_that_only_the_copy_hides_is_a_difference():
    assert definitions({"trigger t": "1"}, {"trigger t": ""})[0][3] == "the object could not be read"
    assert definitions({"trigger t": ""}, {"trigger t": "1"}) == [], "it is among the parts that were not compared"
    assert "trigger t" in compare.not_compared(content(definitions={"trigger t": ""}), content(), {})


def test_missing_and_additional_objects_are_told_once():
    """The comparison of the tables tells of tables, views and sequences."""
    assert [row[1:] for row in definitions({"trigger t": "1"}, {"event e": "1"})] == [
        ("trigger t", "its definition", "no such object"),
        ("event e", "no such object", "an object that only the copy has"),
    ]
    assert definitions({"table a": "1", "view b": "1"}, {"sequence c": "1"}) == []


def test_the_parts_that_were_not_compared_have_reasons():
    hist = {"hist": Table(kind="SYSTEM VERSIONED", rows=1, digest="1")}
    told = compare.not_compared(content(hist), content(hist, server="10.11"), {"orders": "changes daily"})
    assert set(told) == {*compare.NEVER, "hist", "server", "orders"}
    assert (told["server"], told["orders"]) == ("the backup is of 11.8, the copy runs on 10.11", "changes daily")
