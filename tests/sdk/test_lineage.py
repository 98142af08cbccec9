"""Start times of a process: one reported by its server, and one that its host measured a moment later."""

import pytest

from drillbook.sdk.manager.lineage import APART_S, STARTING_S, same_age


@pytest.mark.parametrize(
    ("seen", "between", "wanted"),
    [
        (100, 0, True),
        (100 + STARTING_S, 0, True),
        (100 - APART_S, 0, True),
        (100 + STARTING_S + 1, 0, False),
        (100 - APART_S - 1, 30, False),
        (120 + STARTING_S, 20, True),
        (130 + STARTING_S + 1, 30, False),
    ],
)
def test_a_slow_host_may_see_the_process_older_by_the_time_that_it_took(seen, between, wanted):
    assert same_age(100, seen, between) is wanted
