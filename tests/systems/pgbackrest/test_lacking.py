"""A sandbox's host that lacks libraries or extensions of the restored cluster: said by the restore, not by a later query."""

import pytest

from drillbook.errors import StepFailed
from tests.systems.estate import codes
from tests.systems.pgbackrest.team import estate, team


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A team whose server is to preload pg_cron, which is not on this machine; it has a whole backup."""
    with team(tmp_path_factory.mktemp("lacking") / "team") as made:
        made.write(1)
        made.sql("ALTER SYSTEM SET shared_preload_libraries = 'pg_cron', 'pg_stat_statements'")
        made.backup("full")
        made.archived()
        yield made


def test_a_library_that_is_not_there_is_told_and_the_rows_are_restored(tmp_path, shop):
    place = estate(tmp_path, shop, shop.repository)
    try:
        assert place.restore("wal", "copy")["libraries_lacking"] == ["pg_cron"]
    finally:
        place.remove("wal", "copy")


def test_an_extension_whose_files_are_not_there_fails_the_restore(tmp_path, shop):
    shop.sql(
        "CREATE EXTENSION pg_trgm",
        "SET allow_system_table_mods = on",
        "UPDATE pg_catalog.pg_extension SET extname = 'absent' WHERE extname = 'pg_trgm'",
    )
    shop.backup("full")
    shop.archived()
    place = estate(tmp_path, shop, shop.repository)
    try:
        with pytest.raises(StepFailed) as failure:
            place.restore("wal", "copy")
        assert codes(failure) == ["sandbox-lacks"]
        assert failure.value.findings[0].wanted == "the extension absent of the database postgres"
    finally:
        place.remove("wal", "copy")
