"""Record of the points that a drill will delete."""

import pytest

from drillbook.systems.qdrant import fault_record
from drillbook.systems.qdrant.points import Point

POINTS = [Point(2, [1.0, 0.5], {"text": "ü\n"}), Point("3f2504e0-4f89-11d3-9a0c-0305e82c3301", None, {"lone": "\ud800"})]


def test_a_record_reads_as_the_same_points():
    assert fault_record.decoded(fault_record.encoded(POINTS)) == POINTS
    assert fault_record.decoded(fault_record.encoded([])) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"1.0", b"1.5"),
        lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
        lambda data: data + data.splitlines()[1],
        lambda data: data.replace(b"drillbook/points/1", b"drillbook/points/2"),
        lambda data: data[:-20],
        lambda data: data.partition(b"\n")[2],
        lambda _: b"",
        lambda _: b"[]",
    ],
    ids=["changed", "shorter", "longer", "format", "cut", "headless", "empty", "list"],
)
def test_a_record_that_was_changed_is_refused(change):
    with pytest.raises(ValueError):
        fault_record.decoded(change(fault_record.encoded(POINTS)))


def test_the_digest_of_points_does_not_depend_on_their_order():
    assert fault_record.digest(POINTS) == fault_record.digest(POINTS[::-1])
    assert fault_record.digest(POINTS) != fault_record.digest(POINTS[:1])
