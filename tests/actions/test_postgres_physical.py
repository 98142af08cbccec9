"""Base backups, the log as it is written, and recovery to its end, against real servers and a real store."""

import os
import signal
import time
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.postgresql import wal
from tests.postgresql import fixtures
from tests.postgresql.site import BUCKET

place, target = fixtures.place, fixtures.target


@pytest.fixture(scope="module")
def primary(place):
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    cluster.sql(f'CREATE DATABASE "{cluster.service.database}"', database="postgres")
    cluster.sql("CREATE TABLE ledger (id bigserial PRIMARY KEY, note text)",
                "INSERT INTO ledger (note) SELECT 'before ' || n FROM generate_series(1, 500) n")
    return cluster


@pytest.fixture(scope="module")
def base(place, primary):
    return place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/base")


def codes(failure):
    return [one.code for one in failure.value.findings]


def processes(place):
    """Numbers of programs that work in the site's folder and receive a log."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            words = (link.parent / "cmdline").read_bytes().split(b"\0")
            if str(link.readlink()).startswith(str(place.host.target.scratch)) and (
                    any(one.endswith(b"pg_receivewal") for one in words) and words[0] not in (b"timeout", b"setsid")):
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def received(primary):
    """Return once the receiver has on its disk what was written until now."""
    end, until = primary.sql("SELECT pg_current_wal_flush_lsn()")[0][0], time.monotonic() + 60
    while primary.sql(f"SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= '{end}'") == [(0,)]:
        assert time.monotonic() < until, "the log was not received"
        time.sleep(0.1)


def test_a_base_backup_is_whole_and_pg_verifybackup_says_so(place, primary, base):
    assert sorted(key.removeprefix("base/") for key in place.keys("base/")) == [
        "backup_manifest", "base.tar.gz", "manifest.json", "pg_wal.tar.gz"]
    facts = place.run("postgres.base_intact", service="primary", **{"from": base["location"]})
    assert (facts["files"], facts["bytes"], facts["start_lsn"]) == (3, base["bytes"], base["start_lsn"])
    assert "successfully verified" in facts["said"]
    with pytest.raises(StepFailed, match="a backup is never overwritten"):
        place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/base")


def test_a_damaged_base_backup_is_found(place, primary):
    facts = place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/damaged")
    body = bytearray(place.s3().get_object(Bucket=BUCKET, Key="damaged/base.tar.gz")["Body"].read())
    body[len(body) // 2] ^= 1
    place.s3().put_object(Bucket=BUCKET, Key="damaged/base.tar.gz", Body=bytes(body))
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.base_intact", service="primary", **{"from": facts["location"]})
    assert codes(failure) == ["backup-digest"]


def test_everything_up_to_the_last_commit_before_a_crash_comes_back(place, primary):
    """The rows after the base backup are in the received log alone: the data directory is gone."""
    streamed = place.run("postgres.stream_wal", service="primary")
    assert processes(place) == [streamed["pid"]]
    backup = place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/whole")
    primary.sql("INSERT INTO ledger (note) SELECT 'after ' || n FROM generate_series(1, 200) n")
    primary.sql("SELECT pg_switch_wal()", "INSERT INTO ledger (note) VALUES ('the last one')")
    wanted = primary.sql("SELECT count(*), sum(hashtextextended(l::text, 0)) FROM ledger l")
    received(primary)
    place.run("postgres.lose_data", service="primary")
    facts = place.run("postgres.recover", service="primary", wal=streamed["folder"], **{"from": backup["location"]})
    assert primary.sql("SELECT count(*), sum(hashtextextended(l::text, 0)) FROM ledger l") == wanted
    assert primary.sql("SELECT note FROM ledger ORDER BY id DESC LIMIT 1") == [("the last one",)]
    assert facts["timeline"] == facts["timeline_before"] + 1
    assert primary.sql("SHOW restore_command") == [("",)]
    assert primary.sql("SELECT pg_is_in_recovery()") == [(False,)]
    assert processes(place) == []
    assert list(Path(place.host.target.scratch).glob("*/*.passfile")) == []


def test_a_backup_of_another_service_is_not_intact(place, base, target):
    with pytest.raises(StepFailed, match="not of"):
        place.run("postgres.base_intact", service=target.service.name, **{"from": base["location"]})


def test_without_the_log_only_the_base_backup_comes_back(place, base, target):
    name = target.service.name
    place.run("postgres.recover", service=name, **{"from": base["location"]})
    assert target.sql("SELECT count(*) FROM ledger") == [(500,)]
    with pytest.raises(StepFailed, match="is not empty") as failure:
        place.run("postgres.recover", service=name, **{"from": base["location"]})
    assert codes(failure) == ["restore-target"]


def test_the_receiver_is_ended_and_leaves_what_it_received(place, primary):
    ctx = place.context()
    streamed = place.run("postgres.stream_wal", service="primary", ctx=ctx)
    assert place.run("postgres.stop_wal", service="primary", ctx=ctx) == {"stopped": True}
    assert processes(place) == []
    assert list(Path(streamed["folder"]).glob("0*"))
    assert place.run("postgres.stop_wal", service="primary", ctx=ctx) == {"stopped": False}


def test_a_receiver_that_ended_is_not_taken_for_another_process(place, primary):
    ctx = place.context()
    streamed = place.run("postgres.stream_wal", service="primary", ctx=ctx)
    os.kill(streamed["pid"], signal.SIGKILL)
    until = time.monotonic() + 20
    while processes(place) and time.monotonic() < until:
        time.sleep(0.02)
    Path(f"{streamed['folder']}.pid").write_text(f"{os.getpid()}\n")
    assert place.run("postgres.stop_wal", service="primary", ctx=ctx) == {"stopped": False}


def test_a_receiver_that_nobody_ends_ends_by_itself(place, primary):
    ctx = place.context()
    streamed = place.run("postgres.stream_wal", service="primary", ctx=ctx, **{"for": "3s"})
    until = time.monotonic() + 60
    while processes(place) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes(place) == []
    assert list(Path(streamed["folder"]).glob("0*"))
    assert place.action("postgres.stream_wal", service="primary").active(ctx) is False


def test_a_tablespace_elsewhere_is_refused_before_anything_runs(place, primary):
    folder = primary.data.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    primary.sql(f"CREATE TABLESPACE elsewhere LOCATION '{folder}'", database="postgres")
    try:
        with pytest.raises(NotReady, match="tablespaces outside its data directory: elsewhere"):
            place.action("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/never").ready(place.context())
    finally:
        primary.sql("DROP TABLESPACE elsewhere", database="postgres")


@pytest.mark.parametrize(("names", "found"), [
    ([], []),
    (["000000010000000000000001"], []),
    (["000000010000000000000001", "000000010000000000000002.partial"], []),
    (["0000000100000000000000FF", "000000010000000100000000"], []),
    (["000000010000000000000001", "000000010000000000000003"], ["000000010000000000000001"]),
    (["0000000100000000000000FE", "000000010000000100000000"], ["0000000100000000000000FE"]),
])
def test_gaps_in_a_log(names, found):
    assert wal.gaps(names, 16 << 20) == found


def test_a_place_in_the_log_and_its_segment():
    assert wal.position("1/2000028") // (16 << 20) == wal.number("000000030000000100000002.partial", 16 << 20) == 258
    with pytest.raises(StepFailed, match="cannot be read"):
        wal.position("None")
