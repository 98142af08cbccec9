"""Path of a recovery through received WAL, computed from listings of files."""

import re

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.postgres import cluster_recovery, timelines, wal
from drillbook.systems.postgres.cluster_recovery import Least
from drillbook.systems.postgres.timelines import Switch

SIZE = 16 << 20


def log(names, odd=None, size=SIZE):
    """Listing with every history file and segment by a short name: `1/5`, `2/5p` for an incomplete one, `2h`."""
    sizes = {}
    for name in names.split():
        if name.endswith("h"):
            sizes[timelines.history_file(int(name[:-1]))] = 50
            continue
        timeline, number = name.split("/")
        end = {"p": ".partial", "z": ".gz"}.get(number[-1], "")
        sizes[timelines.segment(int(timeline), int(number.rstrip("pz"), 16), size) + end] = size
    return timelines.Log(sizes | (odd or {}), size)


def short(way):
    return [
        f"{int(one[:8], 16)}/{timelines.number(one, SIZE):X}{'p' if one.endswith('.partial') else ''}" for one in way.files
    ]


def at(segment, byte=0x1000):
    return segment * SIZE + byte


# The backup's end lies in segment 2 of timeline 1. Timeline 2 leaves the first in segment 4, timeline 3 the second in segment 6.
TWO = [Switch(1, at(4))]
THREE = [Switch(1, at(4)), Switch(2, at(6))]
EDGE = [Switch(1, at(4, 0))]


@pytest.mark.parametrize(
    ("names", "switches", "files"),
    [
        ("1/1 1/2 1/3p", (), "1/2 1/3p"),
        ("1/2", (), "1/2"),
        ("1/2p", (), "1/2p"),
        ("1/FF 1/100 1/101p 1/FE 1/2", (), None),  # 3 is missing
        ("1/2 1/3 1/4p 2h 2/4 2/5p", TWO, "1/2 1/3 2/4 2/5p"),
        ("1/2 1/3 2h 2/4p", TWO, "1/2 1/3 2/4p"),
        ("1/2 1/3 1/4 1/5 1/6 2h 2/4 2/5p", TWO, "1/2 1/3 2/4 2/5p"),  # the old server went on
        ("1/2 1/3 1/4 1/5p 2h 2/4p", TWO, "1/2 1/3 2/4p"),
        ("1/2 1/3 1/4 1/4p 2h 2/4 2/4p", TWO, "1/2 1/3 2/4"),
        ("1/2 1/3 2h 2/4p", EDGE, "1/2 1/3 2/4p"),  # the switch is where a segment begins
        ("1/2 1/3 2h 2/4 2/5 3h 3/6 3/7p", THREE, "1/2 1/3 2/4 2/5 3/6 3/7p"),
        ("1/2 1/3 2h 2/4 2/5 3h 3/4 3/5p", TWO, "1/2 1/3 3/4 3/5p"),  # timeline 2 was given up: 3 leaves the first as well
        ("1/2 1/3 2h 2/4p", [Switch(1, at(2, 0x9000))], None),  # 2/2 is missing: the first does not lead there
        ("1/2 2h 2/2 2/3p", [Switch(1, at(2, 0x9000))], "2/2 2/3p"),
    ],
)
def test_the_way_leads_over_every_switch(names, switches, files):
    way = log(names).way(1, at(2), switches)
    if files is None:
        assert way.missing
    else:
        assert (short(way), way.missing) == (files.split(), "")


@pytest.mark.parametrize(
    ("names", "switches", "missing"),
    [
        ("1/2 1/4p", (), "000000010000000000000003 is missing"),
        ("1/3 1/4p", (), "000000010000000000000002 is missing"),
        ("1/1", (), "000000010000000000000002 is missing"),  # it ends before the backup did
        ("1/2 1/3p 1/4p", (), "000000010000000000000003 is incomplete, but later segments exist"),
        ("1/2 1/3z 1/4p", (), "000000010000000000000003.gz is compressed: decompress it"),
        # The segment of the switch has its number on the first timeline too, and is needed on the second.
        ("1/2 1/3 1/4p 2h 2/5p", TWO, "000000020000000000000004 is missing"),
        ("1/2 1/3 1/4 1/5 1/6 2h 2/5 2/6p", TWO, "000000020000000000000004 is missing"),
        ("1/2 1/3 1/4 1/5 1/6 2h 2/4 2/6p", TWO, "000000020000000000000005 is missing"),
        ("1/2 1/3 1/4p 2h", TWO, "000000020000000000000004 is missing"),
        ("1/2 1/4p 2h 2/4 2/5p", TWO, "000000010000000000000003 is missing"),
        ("1/2 1/3p 2h 2/4 2/5p", TWO, "000000010000000000000003 is incomplete, but later segments exist"),
        ("1/2 2h 2/3 2/4p", TWO, "000000010000000000000003 is missing"),
        ("1/2 1/3 2/4 2/5p", (), "00000002.history is missing, but there is a segment of timeline 2"),
        ("1/2 1/3 2/4 2/5 3h 3/6p", (), "00000002.history is missing, but there is a segment of timeline 3"),
        ("1/2 1/3 2h 2/4 3h 3/6p", THREE, "000000020000000000000005 is missing"),
        ("1/2 1/3 2h 2/4 2/5 3h 3/7p", THREE, "000000030000000000000006 is missing"),
        (
            "1/2 1/3 2h 2/4 2/5p",
            [Switch(1, at(1))],
            "timeline 2 branched off before the end of the backup: it left timeline 1 at 0/1001000",
        ),
        ("1/2 2h 2/4 3h 3/6p", [Switch(2, at(4))], "timeline 3 does not descend from timeline 1 of the backup"),
    ],
)
def test_whatever_is_missing_is_named(names, switches, missing):
    assert log(names).way(1, at(2), switches).missing == missing


def test_a_segment_of_another_size_is_not_taken():
    cut = timelines.segment(1, 3, SIZE)
    assert log("1/2 1/4p", {cut: 4096}).way(1, at(2), ()).missing == f"{cut} has 4096 bytes, not {SIZE}"
    # A segment that does not have its full size yet contains no received data.
    assert short(log("1/2", {f"{cut}.partial": 0}).way(1, at(2), ())) == ["1/2"]


def test_names_of_other_sizes_of_segments_and_the_turn_of_a_part():
    for size in (1 << 20, SIZE, 1 << 30):
        turn = (1 << 32) // size
        names = [timelines.segment(7, number, size) for number in (turn - 1, turn)]
        assert [timelines.number(name, size) for name in names] == [turn - 1, turn]
        assert timelines.Log(dict.fromkeys(names, size), size).way(7, (turn - 1) * size, ()).files == tuple(names)


def test_a_history_and_places_in_the_log():
    text = "1\t0/4001000\tno recovery target specified\n\n# a note\n2\tA/16B3748\tbefore 2026-01-01 00:00:00+00\n"
    assert timelines.history(text) == [Switch(1, 0x4001000), Switch(2, (10 << 32) + 0x16B3748)]
    assert timelines.lsn(timelines.position("A/16B3748")) == "A/16B3748"
    for wrong in ("1 nowhere\n", "x\t0/1\ty\n"):
        with pytest.raises(StepFailed, match="cannot be parsed"):
            timelines.history(wrong)
    with pytest.raises(StepFailed, match="cannot be parsed"):
        timelines.position("None")


def test_a_recovery_must_reach_what_was_asked_for_and_the_last_record_of_the_log():
    assert Least(at(4)).missed(at(4) - 1) == "a replay of the WAL at least to 0/4001000"
    assert Least(at(4)).missed(at(4)) == ""
    assert Least(at(2), at(4)).missed(at(4)) == "a replay of the WAL beyond 0/4001000, where the last WAL record begins"
    assert Least(at(2), at(4)).missed(at(4) + 1) == ""


def test_the_history_is_read_as_every_supported_server_can():
    """`pg_read_file(name, missing_ok)` exists since PostgreSQL 16; the form with offset and length since 9.5."""
    assert re.search(r"\.history', 0, 1048576, true\)", cluster_recovery._RECOVERED)


def test_a_server_keeps_the_whole_name_of_a_receiver():
    runs = [f"{'a-long-name-' * 8}{end}" for end in "ab"]
    names = {wal.name_of(run) for run in runs}
    assert len(names) == 2
    assert all(len(name.encode()) < 64 for name in names)
