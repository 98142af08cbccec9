"""Names of archived WAL: segment size, gaps, and duplicate segments."""

from datetime import UTC, datetime

import pytest

from drillbook.systems.pgbackrest.archive import Archive, Stored, lacking, segment_size

AT = datetime(2026, 1, 1, tzinfo=UTC)


def archive(*numbers, twice=()):
    names = [f"0000000100000000000000{number:02X}" for number in numbers]
    stored = {name: Stored(f"0000000100000000/{name}-{'a' * 40}.gz", "a" * 40, AT) for name in names}
    return Archive("archive/main/17-1", stored, (), tuple(twice), (), 1 << 24)


@pytest.mark.parametrize(
    ("lsn", "name", "size"),
    [
        ("0/2000028", "000000010000000000000002", 1 << 24),
        ("0/2000028", "000000010000000000000020", 1 << 20),
        ("1/80000028", "000000010000000100000002", 1 << 30),
        ("12/34000028", "00000003000000120000000D", 1 << 26),
        ("", "", 1 << 24),
    ],
)
def test_the_size_of_a_segment_follows_from_the_start_of_a_backup(lsn, name, size):
    assert segment_size(lsn, name) == size


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ((2, 3, 4), ""),
        ((2, 4), "000000010000000000000003 is missing"),
        ((3, 4), "000000010000000000000002 is missing"),
        ((), "000000010000000000000002 is missing"),
    ],
)
def test_a_gap_is_named(numbers, problem):
    made = archive(*numbers)
    way = made.way("0/2000028", "000000010000000000000002")
    assert lacking(made, way, "000000010000000000000002") == problem


def test_a_segment_with_two_contents_is_no_segment():
    name = "000000010000000000000003"
    made = archive(2, 3, 4, twice=[name])
    way = made.way("0/2000028", "000000010000000000000002")
    assert way.files == ("000000010000000000000002",)
    assert (
        lacking(made, way, "000000010000000000000002")
        == f"{name} is stored twice with different contents, and pgbackrest returns neither of the two"
    )
