"""Values of rows as JSON."""

from drillbook.systems.postgres import row_values


def test_values_that_json_cannot_hold():
    assert row_values.plain([float("nan"), 2**60, b"\x01", (1, None), {1: True}]) == [
        "nan",
        str(2**60),
        "01",
        [1, None],
        {"1": True},
    ]
