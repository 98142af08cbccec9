"""Recovery of a base backup to the end of the received WAL, with a real server and a real store."""

import os
import shutil
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Effect
from drillbook.systems.postgres import timelines
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_ledger
from tests.systems.postgres.one_ledger import ledger, processes
from tests.systems.postgres.site import BUCKET

place, target, base, primary = fixtures.place, fixtures.target, one_ledger.base, one_ledger.primary


def write(primary, segments):
    """Rows in as many WAL segments, each of which continues in the next one."""
    for number in range(segments):
        primary.sql(
            f"INSERT INTO ledger (note) SELECT 'row {number}/' || n FROM generate_series(1, 50) n", "SELECT pg_switch_wal()"
        )
    primary.sql("INSERT INTO ledger (note) VALUES ('the last one')")


def without(folder, number, *, damaged=False):
    """Copy of a received WAL archive that lacks a segment, or has an empty first page in it."""
    copy = Path(f"{folder}-{'damaged' if damaged else 'lacks'}-{number}")
    shutil.copytree(folder, copy, copy_function=os.link)
    body = (copy / number).read_bytes()
    (copy / number).unlink()
    if damaged:
        (copy / number).write_bytes(bytes(8192) + body[8192:])
    return str(copy)


@pytest.mark.usefixtures("base")  # taken before the crash, for the tests after it
def test_everything_up_to_the_last_commit_before_a_crash_comes_back(place, primary):
    """The rows after the base backup are only in the received WAL, because the data directory is gone.

    Then the same again: the second time, the WAL has two timelines, and lacks a segment of one of them, or the first
    of the new one.
    """
    ctx = place.context(seconds=600)
    streamed = place.run("postgres.stream_wal", service="primary", ctx=ctx)
    assert processes(place) == [streamed["pid"]]
    backup = place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/whole", ctx=ctx)

    def recover(log, **fields):
        return place.run("postgres.recover", service="primary", wal=log, ctx=ctx, **({"from": backup["location"]} | fields))

    write(primary, 2)
    wanted, reached = ledger(primary), place.run("postgres.wal_received", service="primary", ctx=ctx)
    place.run("postgres.lose_data", service="primary", ctx=ctx)
    facts = recover(streamed["folder"], reach=reached["lsn"])
    assert ledger(primary) == wanted
    assert primary.sql("SELECT note FROM ledger ORDER BY id DESC LIMIT 1") == [("the last one",)]
    assert (facts["timeline_before"], facts["timeline"]) == (1, 2)
    assert timelines.position(facts["replayed_to"]) >= timelines.position(reached["lsn"])
    assert primary.sql("SHOW restore_command") == [("",)]
    assert primary.sql("SELECT pg_is_in_recovery()") == [(False,)]
    assert processes(place) == []
    assert list(Path(place.host.target.scratch).rglob("*.passfile")) == []

    assert place.run("postgres.stream_wal", service="primary", ctx=ctx)["folder"] == streamed["folder"]
    write(primary, 2)
    wanted, reached = ledger(primary), place.run("postgres.wal_received", service="primary", ctx=ctx)["lsn"]
    place.run("postgres.lose_data", service="primary", ctx=ctx)
    folder = streamed["folder"]
    *_, old = sorted(one.name for one in Path(folder).glob("00000001*[0-9A-F]"))
    switch, middle, *_ = sorted(one.name for one in Path(folder).glob("00000002*[0-9A-F]") if len(one.name) == 24)
    assert switch[8:] > old[8:]
    assert Path(folder, "00000001" + switch[8:] + ".partial").exists()  # its number alone does not show that it is missing
    for lost in (old, switch, "00000002.history"):
        with pytest.raises(StepFailed, match=f"{lost} is missing") as failure:
            recover(without(folder, lost))
        assert codes(failure) == ["wal-gap"]
        assert not primary.data.exists()
    with pytest.raises(StepFailed, match="the recovery stopped before the end of the WAL") as failure:
        recover(without(folder, middle, damaged=True))
    assert codes(failure) == ["wal-gap"]
    place.run("postgres.lose_data", service="primary", ctx=ctx)
    facts = recover(folder, reach=reached)
    assert (facts["timeline"], ledger(primary)) == (3, wanted)
    primary.kill()  # the same step again, as after a controller's death: the server has forgotten how far it replayed
    assert recover(folder, reach=reached)["replayed_to"] == facts["replayed_to"]
    assert ledger(primary) == wanted
    with pytest.raises(StepFailed, match="the recovery stopped before the end of the WAL") as failure:
        recover(folder, reach="F/0")
    assert failure.value.findings[0].wanted == "a replay of the WAL at least to F/0"


def test_without_the_log_only_the_base_backup_comes_back(place, base, target):
    name = target.service.name
    place.run("postgres.recover", service=name, **{"from": base["location"]})
    assert target.sql("SELECT count(*) FROM ledger") == [(500,)]
    assert "read-only connections" not in (target.data / "drillbook.log").read_text(), "nobody looked on while it replayed"
    assert "hot_standby" not in (target.data / "postgresql.auto.conf").read_text()
    with pytest.raises(StepFailed, match="is not empty") as failure:
        place.run("postgres.recover", service=name, **{"from": base["location"]})
    assert codes(failure) == ["restore-target"]
    received = place.action("postgres.wal_received", service=name)
    assert (received.EFFECT, received.ready(place.context())) == (Effect.WRITE, None)
    target.kill()
    (target.data / "standby.signal").touch()
    target.start()
    with pytest.raises(NotReady, match="is a standby, which accepts no commit"):
        received.ready(place.context())
