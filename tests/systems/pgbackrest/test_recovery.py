"""Explanation of a recovery that ended too early."""

import pytest

from drillbook.systems.pgbackrest.recovery import lacking_wal

STARTED = "2026-11-30 12:00:00.000 UTC [7] LOG:  starting archive recovery"


@pytest.mark.parametrize(
    "said",
    [
        "2026-11-30 12:00:00.010 UTC [7] FATAL:  requested timeline 3 is not a child of this server's history",
        "2026-11-30 12:00:00.010 UTC [7] PANIC:  could not locate a valid checkpoint record at 0/2000028",
        "2026-11-30 12:00:00.010 UTC [7] FATAL:  WAL ends before end of online backup",
    ],
)
def test_the_whole_line_about_missing_wal_is_quoted(said):
    assert (
        lacking_wal([STARTED, f"{said}\n", f"here: the server in the sandbox copy does not accept writes: {said}"]) == said
    )


def test_other_lines_say_nothing_about_missing_wal():
    assert lacking_wal([STARTED, "2026-11-30 12:00:00.010 UTC [7] FATAL:  the database system is starting up"]) == ""
