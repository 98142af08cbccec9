"""Points of a collection: their ids, their lines of JSON, and their digests."""

import struct
from uuid import UUID

import pytest

from drillbook.systems.qdrant.points import LARGEST_ID, Point, Tally, id_of, ordered, sample

TEXT = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.mark.parametrize(
    ("value", "point_id"),
    [
        (0, 0),
        (LARGEST_ID, LARGEST_ID),
        ("17", 17),
        (TEXT.upper(), TEXT),
        (TEXT.replace("-", ""), TEXT),
        (UUID(TEXT), TEXT),
    ],
)
def test_an_id_is_a_number_or_a_uuid_in_its_usual_form(value, point_id):
    assert id_of(value) == point_id


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "True is not the id"),
        (-1, "must be from 0 to"),
        (LARGEST_ID + 1, "must be from 0 to"),
        ("-1", "'-1' is not the id"),
        ("١٧", "is not the id"),
        ("three", "'three' is not the id"),
        (None, "'None' is not the id"),
        (1.5, "'1.5' is not the id"),
    ],
)
def test_every_other_value_is_no_id(value, said):
    with pytest.raises(ValueError, match=said):
        id_of(value)


def test_ids_are_sorted_as_qdrant_does_it_numbers_first():
    ids = {TEXT, 10, 9, "00000000-0000-0000-0000-000000000001"}
    assert ordered(ids) == [9, 10, "00000000-0000-0000-0000-000000000001", TEXT]
    assert sample(ids, 3) == ["9", "10", "00000000-0000-0000-0000-000000000001"]


VECTORS = {
    "dense": [0.5, -1, 3],
    "named": {"small": [1, 2], "words": {"indices": [7, 3], "values": [0.5, 0.25]}},
    "several": [[1, 2], [3, 4]],
    "none": None,
    "empty": {},
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_a_line_of_a_point_reads_as_the_same_point(vector):
    point = Point(TEXT, vector, {"b": [None, 1.5], "a": "ü\n"})
    assert "\n" not in point.line()
    assert Point.parse(point.line()) == point
    assert Point.parse(point.line().encode()).digest() == point.digest()


@pytest.mark.parametrize(
    "line", ['{"id": 1, "vector": [1]}', '{"id": 1, "vector": [1], "payload": {}, "more": 1}', "[1]", '{"id": "x"', ""]
)
def test_another_line_is_no_point(line):
    with pytest.raises(ValueError):
        Point.parse(line)


def test_a_digest_depends_on_what_a_server_keeps_and_on_no_form():
    plain = Point(1, [1.0, 0.1], {"a": 1, "b": 2})
    rounded = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert plain.digest() == Point(1, [1, rounded], {"b": 2, "a": 1}).digest()
    sparse = Point(1, {"indices": [7, 3], "values": [0.5, 0.25]}, {})
    assert sparse.digest() == Point(1, {"indices": [3, 7], "values": [0.25, 0.5]}, {}).digest()


def test_every_difference_of_points_changes_the_digest():
    points = [Point(1, vector, {}) for vector in VECTORS.values()]
    points += [
        Point(2, [0.5, -1, 3], {}),
        Point("1" * 8 + TEXT[8:], [0.5, -1, 3], {}),
        Point(1, [0.5, -1, 3], {"a": None}),
        Point(1, [[0.5, -1, 3]], {}),
        Point(1, [[0.5], [-1, 3]], {}),
        Point(1, {"small": [1, 2], "words": {"indices": [7, 3], "values": [0.25, 0.5]}}, {}),
        Point(1, {"other": [1, 2], "words": {"indices": [7, 3], "values": [0.5, 0.25]}}, {}),
    ]
    assert len({point.digest() for point in points}) == len(points)


def test_the_digest_of_all_points_depends_on_their_number_and_not_on_their_order():
    first, second = (Point(number, [number], {}).digest() for number in (1, 2))
    one_way, other_way, twice = Tally(), Tally(), Tally()
    for tally, digests in ((one_way, (first, second)), (other_way, (second, first)), (twice, (first, second, first))):
        for digest in digests:
            tally.add(digest)
    assert (one_way.points, one_way.digest) == (2, other_way.digest)
    assert len(one_way.digest) == 64
    assert (twice.points, twice.digest == one_way.digest) == (3, False)
    assert Tally().digest == "0" * 64
