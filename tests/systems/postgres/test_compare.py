"""Tables and sequences of a backup, compared with those of a database."""

import pytest

from drillbook.systems.postgres import compare
from drillbook.systems.postgres.manifest import Sequence_, Table


def sequence(last, *, called=True, step=1, cycle=False):
    return Sequence_(name="s", last_value=str(last), is_called=called, increment=str(step), cycle=cycle)


@pytest.mark.parametrize(
    ("wanted", "found", "behind"),
    [
        (sequence(10), sequence(10), False),
        (sequence(10), sequence(11), False),
        (sequence(10), sequence(9), True),
        (sequence(1), sequence(1, called=False), True),
        (sequence(1, called=False), sequence(1), False),
        (sequence(-9, step=-2), sequence(-11, step=-2), False),
        (sequence(-9, step=-2), sequence(-7, step=-2), True),
        (sequence(2**62), sequence(2**62 - 1), True),
        (sequence(10, cycle=True), sequence(3, cycle=True), False),
    ],
)
def test_a_sequence_is_behind_in_its_own_direction(wanted, found, behind):
    assert [one.code for one in compare.sequences([wanted], [found])] == (["sequence-behind"] if behind else [])


def test_a_table_without_a_digest_must_still_be_there():
    view = Table(name="v", rows=1, digest=None, bytes=0, note="recomputed")
    assert list(compare.tables([view], [view.model_copy(update={"rows": 2})])) == []
    assert [one.code for one in compare.tables([view], [])] == ["table-missing"]
    assert list(compare.tables([], [view])) == []
