"""After a restore: a cluster of one run is removed by that run alone."""

from dataclasses import replace

import pytest

from drillbook.errors import NotReady, StepFailed
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_table
from tests.systems.refusals import refused_until

place, primary, target, backup = fixtures.place, fixtures.primary, fixtures.target, one_table.backup


def test_a_cluster_of_one_run_is_removed_by_that_run_alone(place, backup, target):
    name = target.service.name
    ctx = place.context(step="restore.1")
    restore = place.action("postgres.restore", service=name, temporary=True, **{"from": backup["location"]})
    target.data.mkdir()
    theirs = target.data / "theirs"
    theirs.touch()
    said = "is not empty, but a temporary cluster needs an empty folder"
    refused_until(lambda: restore.ready(ctx), said, theirs.unlink)
    target.data.rmdir()
    assert restore.active(ctx) is False
    undo = restore.undo(ctx)
    restore.run(ctx)
    assert restore.active(ctx) is True
    with pytest.raises(NotReady, match="not empty"):
        restore.ready(ctx)
    with pytest.raises(StepFailed) as failure:
        restore.run(place.context(step="restore.1"))
    assert codes(failure) == ["restore-target"]
    target.sql("DELETE FROM lines")
    restore.run(ctx)  # as after a killed controller of this run: its own cluster is created again
    assert target.sql("SELECT count(*) FROM lines") == [(300,)]
    remove = place.action(undo.action, **undo.params)
    with pytest.raises(StepFailed, match="belongs to the other run") as failure:
        remove.run(replace(ctx, run_id="another"))
    assert codes(failure) == ["restore-target"]
    (target.data / "drillbook.temporary").rename(target.data / "kept")
    with pytest.raises(StepFailed, match="not a temporary cluster"):
        remove.run(ctx)
    assert target.sql("SELECT count(*) FROM lines") == [(300,)], "nothing happened to it"
    (target.data / "kept").rename(target.data / "drillbook.temporary")
    assert remove.run(ctx)["removed"] is True
    assert not target.data.exists()
    assert restore.active(ctx) is False
    assert remove.run(ctx) == {"removed": False, "files": 0, "bytes": 0}


def test_nothing_stays_of_a_cluster_of_one_run_whose_server_was_killed(place, backup, target):
    """Its socket and the socket's lock belong to no server any more, and are outside the data directory."""
    ctx = place.context(step="restore.1")
    restore = place.action("postgres.restore", service=target.service.name, temporary=True, **{"from": backup["location"]})
    undo = restore.undo(ctx)
    restore.run(ctx)
    sockets = [target.data.parent / f".s.PGSQL.{target.service.port}{end}" for end in ("", ".lock")]
    assert all(path.exists() for path in sockets)
    target.kill()
    assert all(path.exists() for path in sockets)
    assert place.action(undo.action, **undo.params).run(ctx)["removed"] is True
    assert not target.data.exists()
    assert [path for path in sockets if path.exists()] == []


def test_production_is_never_a_temporary_cluster(place, primary):
    with pytest.raises(StepFailed, match="not a temporary cluster"):
        place.run("postgres.remove_cluster", service="primary")
    assert primary.sql("SELECT 1") == [(1,)]
