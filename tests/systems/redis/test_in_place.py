"""Restores of a team's own file into a service: its checks."""

from datetime import UTC, datetime

from drillbook.sdk.backup_source import Backup
from drillbook.systems.redis.rdb_source import RdbSource
from tests.systems.refusals import refused_until


def test_a_restore_in_place_needs_a_unit(cache):
    source, services = RdbSource(name="dumps", host="db-1", at="/nowhere"), [cache.service.model_copy(update={"unit": ""})]
    refused_until(
        lambda: source.in_place(cache.context(), services[-1]).ready(),
        "the service 'cache' has no `unit` in the inventory",
        lambda: services.append(cache.service),
    )


def test_a_file_that_the_server_cannot_load_is_refused_before_the_fault(cache):
    """A check before the drill does not read the beginning of every file; the verification of the backup does."""
    source = RdbSource(name="dumps", host="db-1", at="/nowhere")
    place = source.in_place(cache.context(), cache.service)
    backup = Backup("new.rdb.zst", datetime.now(UTC), "")
    assert "new.rdb.zst has the format REDIS0099, which the" in place.unlike(
        backup, {"databases": 16, "format": "REDIS0099"}
    )
    assert place.unlike(backup, {"databases": 16, "format": "REDIS0009"}) == ""
    assert place.unlike(backup, {"databases": 16}) == ""
