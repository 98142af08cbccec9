"""Restores into the service itself: the cluster is back next to its archive, which continues on the new timeline."""

import shutil
from types import SimpleNamespace

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.postgres.cluster_recovery import MARKER
from tests.systems.estate import codes
from tests.systems.pgbackrest.team import estate, team


@pytest.fixture
def shop(tmp_path_factory):
    """Team with a backup, and rows before and after it; the last one is not archived yet."""
    with team(tmp_path_factory.mktemp("shop") / "team") as made:
        times = {1: made.write(1)}
        label = made.backup("full")
        times |= {row: made.write(row) for row in (2, 3, 4)}
        made.archived()
        yield SimpleNamespace(team=made, label=label, times=times)


@pytest.fixture
def place(tmp_path, shop):
    return estate(tmp_path, shop.team, shop.team.repository)


def lose(shop):
    shop.team.stop()
    shutil.rmtree(shop.team.data)


def restore(place, ctx=None, **fields):
    action = place.action("backup.restore", service="database", **{"from": "wal"}, **fields)
    return action.run(ctx or place.ctx())


def rows(shop):
    return [row for (row,) in shop.team.sql("SELECT id FROM seen ORDER BY id")]


def left_beside(shop):
    return [path.name for path in shop.team.folder.iterdir() if "drillbook" in path.name]


def test_a_lost_cluster_comes_back_with_its_settings_and_its_archive_goes_on(place, shop):
    system = shop.team.sql("SELECT system_identifier FROM pg_control_system()")
    place.action("backup.restore", service="database", **{"from": "wal"}).ready(place.ctx())
    settings = (shop.team.data / "postgresql.conf").read_bytes()
    lose(shop)
    facts = restore(place)
    assert rows(shop) == [1, 2, 3, 4]
    assert shop.team.sql("SELECT system_identifier FROM pg_control_system()") == system
    assert (shop.team.data / "postgresql.conf").read_bytes() == settings
    for setting, value in (("archive_mode", "on"), ("restore_command", ""), ("TimeZone", "America/New_York")):
        assert shop.team.sql(f"SHOW {setting}") == [(value,)]
    assert facts["in_place"]
    assert {"files", "fetch_wal", "replay", "finish", "start", "total"} <= set(facts["seconds"])
    assert left_beside(shop) == []
    # The archive of the new timeline is whole: a second loss is recovered from it.
    shop.team.write(5)
    shop.team.archived()
    lose(shop)
    second = restore(place)
    assert rows(shop) == [1, 2, 3, 4, 5]
    assert second["timeline"] > facts["timeline"]


@pytest.mark.parametrize(("inclusive", "last"), [(True, 3), (False, 2)])
def test_a_moment_separates_the_rows_on_its_two_sides_in_the_service_itself(tmp_path, shop, inclusive, last):
    place = estate(tmp_path, shop.team, shop.team.repository, inclusive=inclusive)
    lose(shop)
    facts = restore(place, at=shop.times[3].isoformat())
    assert rows(shop) == list(range(1, last + 1))
    assert facts["recovered_to"]


def test_a_moment_that_the_archive_does_not_reach_leaves_nothing(place, shop):
    lose(shop)
    with pytest.raises(StepFailed) as failure:
        restore(place, at="2036-01-01T00:00:00+00:00")
    assert codes(failure) == ["backup-missing"]
    assert not shop.team.data.exists()
    assert left_beside(shop) == []


def test_a_service_that_has_its_data_is_never_written(place, shop):
    with pytest.raises(StepFailed) as failure:
        restore(place)
    assert codes(failure) == ["restore-target"]
    assert rows(shop) == [1, 2, 3, 4]
    assert left_beside(shop) == []


def test_a_retry_discards_only_what_the_same_run_left(place, shop):
    """As after a controller died in the middle, or right after the directory was moved into place."""
    lose(shop)
    undo = place.action("backup.restore", service="database", **{"from": "wal"}).undo(place.ctx())
    box = shop.team.folder / f"data.drillbook.{undo.commands[0][-2].rpartition('.')[2]}"
    box.mkdir(mode=0o700)
    (box / "drillbook.run").write_text(f"{place.run_id}\n")
    (box / "data").mkdir()
    restore(place)
    assert rows(shop) == [1, 2, 3, 4]
    shop.team.write(9)
    shop.team.stop()
    assert (shop.team.data / MARKER).read_text().split()[0] == place.run_id
    restore(place)
    assert rows(shop) == [1, 2, 3, 4, 9]
    with pytest.raises(StepFailed) as failure:
        restore(place, place.ctx(run="another"))
    assert codes(failure) == ["restore-target"]


def test_a_server_at_the_port_that_is_not_of_the_lost_directory_is_not_touched(place, shop):
    moved = shop.team.folder / "elsewhere"
    shop.team.stop()
    shop.team.data.rename(moved)
    shop.team.control_of(moved, "start")
    try:
        with pytest.raises(StepFailed, match="contains no cluster"):
            restore(place)
        assert rows(shop) == [1, 2, 3, 4]
    finally:
        shop.team.control_of(moved, "stop", "-m", "immediate")
