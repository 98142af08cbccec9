"""Physical backups that are not taken, or not believed: without the right to replicate, or of another service."""

import pytest

from drillbook.errors import NotReady, StepFailed
from tests.systems.postgres import fixtures, one_ledger
from tests.systems.postgres.site import BUCKET, secret
from tests.systems.refusals import refused_until

place, target, base, primary = fixtures.place, fixtures.target, one_ledger.base, one_ledger.primary


def test_a_backup_of_another_service_is_not_intact(place, base, target):
    with pytest.raises(StepFailed, match="not of"):
        place.run("postgres.base_intact", service=target.service.name, **{"from": base["location"]})


def test_a_role_that_may_not_replicate_is_told_before(place, primary):
    primary.sql("CREATE ROLE keeper LOGIN PASSWORD 'keeper-word'", database="postgres")
    keeper = primary.service.admin.model_copy(update={"user": "keeper", "password": secret("keeper-word", "TEST_KEEPER")})
    place.extra["other"] = primary.service.model_copy(update={"admin": keeper})
    action = place.action("postgres.base_backup", service="other", to=f"s3://{BUCKET}/never")
    try:
        with pytest.raises(NotReady) as refused:
            action.ready(place.context())
        assert "set wal_level to replica or logical, and max_wal_senders to 3 or more" in refused.value.hint
        refused_until(
            lambda: action.ready(place.context()),
            "primary cannot be backed up physically: keeper has no right to replicate, wal_level is replica",
            lambda: primary.sql("ALTER ROLE keeper REPLICATION", database="postgres"),
        )
    finally:
        del place.extra["other"]
        primary.sql("DROP ROLE keeper", database="postgres")
