"""Restored copy compared with the running server: ranges of keys, tables without changes, numbers of rows."""

import pytest

from drillbook.errors import CouldNotVerify, PlanError, StepFailed
from tests.systems.estate import codes
from tests.systems.mariadb import site
from tests.systems.mariadb.site import on_copy


@pytest.fixture(scope="module")
def copies(server, tmp_path_factory):
    """Copy from before production grew."""
    root = tmp_path_factory.mktemp("copies")
    (root / "dumps").mkdir()
    (root / "dumps" / "shop.sql").write_bytes(server.dump("--single-transaction", "shop"))
    place = site.estate(root, server, {"kind": "mariadb_dump", "at": str(root / "dumps")})
    place.restore("nightly", "copy")
    server.sql("INSERT INTO orders(id,customer,total) SELECT seq, 1, 1 FROM seq_1001_to_1050", "shop")
    yield place
    server.sql("DELETE FROM orders WHERE id > 1000", "shop")
    place.remove("nightly", "copy")


def compare(place, **fields):
    return place.run("mariadb.compare", service="copy", against="database", **fields)


def failed(place, **fields):
    with pytest.raises(StepFailed) as failure:
        compare(place, **fields)
    return failure


def test_a_copy_of_a_server_that_grew_is_equal_as_far_as_it_goes(copies):
    facts = compare(
        copies, tables={"orders": {"key": "id", "ranges": 3}, "customers": {"key": "name", "margin": 5}, "parted": {}}
    )
    assert facts["ranges"]["orders"] == [
        {"range": "id up to 300", "rows": 300, "equal": True},
        {"range": "id above 300, up to 600", "rows": 300, "equal": True},
        {"range": "id above 600, up to 900", "rows": 300, "equal": True},
    ]
    assert facts["ranges"]["parted"] == [{"range": "whole table", "rows": 30, "equal": True}]
    assert (facts["tables"], facts["rows"]) == (3, 900 + 2997 + 30)
    assert (
        facts["not_compared"]["orders"]
        == "rows with id above 900: 100 in the copy, 150 in production; rows without a key: 0 in the copy, 0 in production"
    )
    assert facts["not_compared"]["ar"] == "the step sets neither `tables` for this table nor `tolerance`"


def test_a_row_that_differs_is_told_with_its_range(copies):
    on_copy(copies, "UPDATE orders SET total = 999999 WHERE id = 301")
    try:
        found = failed(copies, tables={"orders": {"key": "id", "ranges": 3}}).value.findings
        assert [one.code for one in found] == ["copy-differs"]
        assert found[0].title.endswith(": orders, id above 300, up to 600")
    finally:
        on_copy(copies, "UPDATE orders SET total = 301 WHERE id = 301")


def test_moments_and_a_bound_of_the_drill(copies):
    tables = {"customers": {"key": "seen", "margin": 0}, "orders": {"key": "id", "up_to": 10, "ranges": 1}}
    facts = compare(copies, tables=tables)
    assert facts["ranges"]["customers"] == [{"range": "seen up to 2026-11-28 01:02:03", "rows": 1, "equal": True}]
    assert facts["not_compared"]["customers"].endswith("rows without a key: 3001 in the copy, 3001 in production")
    assert facts["ranges"]["orders"] == [{"range": "id up to 10", "rows": 10, "equal": True}]


def test_nothing_is_equal_that_was_not_compared(copies):
    with pytest.raises(CouldNotVerify, match="no row of nothing could be compared"):
        compare(copies, tables={"nothing": {"key": "a"}})
    with pytest.raises(CouldNotVerify, match="no_such"):
        compare(copies, tables={"orders": {"key": "no_such"}})
    with pytest.raises(PlanError):
        compare(copies)


def test_the_number_of_rows_within_a_tolerance(copies):
    facts = compare(copies, tolerance=0.05)
    assert facts["volume"]["orders"] == [1000, 1050]
    assert codes(failed(copies, tolerance=0.01)) == ["copy-volume"]
    assert codes(failed(copies, tables={"late": {}})) == ["table-missing"]
