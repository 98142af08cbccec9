"""Base backups: whole, damaged, half written, and of a cluster that none can be taken of."""

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.backup_writer import taking
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import BackupManifest
from drillbook.sdk.transfer import PART_LEAST
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_ledger
from tests.systems.postgres.site import BUCKET
from tests.systems.refusals import refused_until

place, base, primary = fixtures.place, one_ledger.base, one_ledger.primary

SEALED = BackupManifest(format="drillbook/any/1", run="run", service="early", taken_at="2026-11-28T12:00:00.000Z")


def test_a_base_backup_is_whole_and_pg_verifybackup_says_so(place, primary, base):
    assert sorted(key.removeprefix("base/") for key in place.keys("base/")) == [
        "backup_manifest",
        "base.tar.gz",
        "manifest.json",
        "pg_wal.tar.gz",
    ]
    facts = place.run("postgres.base_intact", service="primary", **{"from": base["location"]})
    assert (facts["files"], facts["bytes"], facts["start_lsn"]) == (3, base["bytes"], base["start_lsn"])
    assert "successfully verified" in facts["said"]
    with pytest.raises(StepFailed, match="Drillbook never overwrites a backup"):
        place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/base")


def test_a_backup_set_is_there_whole_or_not_at_all(place):
    store, folder = Store(place.store), Reference(BUCKET, "set")
    with (
        pytest.raises(StepFailed, match="does not list these files, or lists them with another size: one"),
        taking(store, folder) as backup,
    ):
        backup.put("one", b"1")
        backup.stream("large", iter([b"2" * PART_LEAST, b"3"]))
        place.s3().delete_object(Bucket=BUCKET, Key="set/one")  # somebody else's rule, or a store that lost it
        backup.seal(SEALED)
    assert place.keys("set") == []
    with pytest.raises(ZeroDivisionError), taking(store, folder) as backup:
        backup.put("one", b"1")
        backup.seal(SEALED)
        raise ZeroDivisionError
    assert place.keys("set") == []
    with pytest.raises(StepFailed, match="already exists"), taking(store, folder) as late:
        with taking(store, folder) as early:
            early.seal(SEALED)
        late.put("one", b"1")
        late.seal(SEALED.model_copy(update={"service": "late"}))
    assert place.keys("set") == ["set/manifest.json"]
    with pytest.raises(StepFailed, match="Drillbook never overwrites a backup"), taking(store, folder):
        pass
    assert place.uploads() == []


def test_a_damaged_base_backup_is_found(place, primary):
    facts = place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/damaged")
    body = bytearray(place.s3().get_object(Bucket=BUCKET, Key="damaged/base.tar.gz")["Body"].read())
    body[len(body) // 2] ^= 1
    place.s3().put_object(Bucket=BUCKET, Key="damaged/base.tar.gz", Body=bytes(body))
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.base_intact", service="primary", **{"from": facts["location"]})
    assert codes(failure) == ["backup-digest"]


def test_a_tablespace_elsewhere_is_refused_before_anything_runs(place, primary):
    folder = primary.data.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    primary.sql(f"CREATE TABLESPACE elsewhere LOCATION '{folder}'", database="postgres")
    backup = place.action("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/never")
    refused_until(
        lambda: backup.ready(place.context()),
        "tablespaces outside its data directory: elsewhere",
        lambda: primary.sql("DROP TABLESPACE elsewhere", database="postgres"),
    )
