"""A pg_restore older than the dump: the check before the drill refuses it, and the restore fails for the same reason."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from tests.systems.postgres import fixtures, majors

place, primary, backup = fixtures.place, fixtures.primary, fixtures.backup
READERS = ("postgres.backup_intact", "postgres.restore")
OLD = 15


@pytest.fixture(scope="module")
def old(place):
    """A place for a cluster whose programs are older than the server of the backup."""
    return place.place("old", bin=majors.programs(OLD, place.folder / "bin-old")).service


@pytest.mark.parametrize("name", READERS)
def test_an_old_pg_restore_is_refused_before_and_fails_in_the_run(place, backup, old, name):
    action = place.action(name, service="old", **{"from": backup["location"]})
    with pytest.raises(NotReady, match=rf"{old.bin}/pg_restore has version {OLD}, but the backup is a dump of pg_dump 1"):
        action.ready(place.context())
    with pytest.raises((StepFailed, CouldNotVerify), match=r"pg_restore.* reported errors"):
        action.run(place.context())


def test_the_pg_dump_of_an_earlier_step_is_looked_at(place, backup, old):
    action = place.action("postgres.backup_intact", service="old", **{"from": backup["location"]})
    later = type(action).with_unknown({"service": "old"}, {"from"})
    with pytest.raises(NotReady, match=f"has version {OLD}, but the backup is a dump of pg_dump 1"):
        later.ready(replace(place.context(), origins={"from": "primary"}))
    later.ready(replace(place.context(), origins={}))


def test_programs_of_the_same_version_are_ready_and_read_the_backup(place, backup):
    action = place.action("postgres.backup_intact", service="primary", **{"from": backup["location"]})
    action.ready(replace(place.context(), origins={"from": "primary"}))
    assert action.run(place.context())["tables"]
