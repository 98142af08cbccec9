"""Host of a sandbox without libraries or extensions of the restored cluster: reported by the restore, not by a later
query.
"""

import contextlib
import subprocess
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from tests.needs import missing
from tests.systems.estate import codes
from tests.systems.pgbackrest.team import Team, estate, team
from tests.systems.postgres.site import programs
from tests.systems.refusals import refused_until

FORMER = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Team whose server preloads pg_cron, which this machine lacks; it has an intact backup."""
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


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """A stanza with a backup of PostgreSQL 15, and a newer one of PostgreSQL 17; and the programs of both versions."""
    if not (FORMER / "initdb").exists():
        missing("postgresql-15 is not installed")
    folder = tmp_path_factory.mktemp("upgraded")
    made = Team(folder / "team")
    new, made.bin = made.bin, programs(folder / "bin-15", FORMER)
    try:
        made.create()
        made.write(1)
        former = made.backup("full")
        made.archived()
        made.stop()
        made.data.rename(folder / "data-15")
        old, made.bin = made.bin, new
        made.create("stanza-upgrade")
        made.write(1)
        made.backup("full")
        made.archived()
        yield made, former, old, new
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            made.stop()


@pytest.mark.parametrize("newest", [True, False], ids=["newest", "former"])
def test_the_version_of_the_selected_backup_counts(tmp_path, upgraded, newest):
    made, former, old, new = upgraded
    place = estate(tmp_path, made, made.repository)
    services, (right, wrong) = place.inventory.services, (new, old) if newest else (old, new)
    services["copy"] = services["copy"].model_copy(update={"bin": str(wrong)})
    restore = place.action("backup.restore", service="copy", at="latest" if newest else former, **{"from": "wal"})
    refused_until(
        lambda: restore.ready(place.ctx()),
        f"the backup is of PostgreSQL {17 if newest else 15}, but the sandbox has {15 if newest else 17}",
        lambda: services.update(copy=services["copy"].model_copy(update={"bin": str(right)})),
    )
