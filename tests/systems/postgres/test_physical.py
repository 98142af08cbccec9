"""Base backups, continuously received WAL, and recovery to its end, with real servers and a real store."""

import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import psycopg
import pytest

from drillbook.engine.provenance import Proven, Provenance
from drillbook.errors import NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.action import Effect
from drillbook.sdk.backup_writer import taking
from drillbook.sdk.host import Target
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import BackupManifest
from drillbook.sdk.transfer import PART_LEAST
from drillbook.systems.postgres import timelines
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.programs import Tools
from tests.processes import entries
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, secret
from tests.systems.refusals import refused_until

place, target = fixtures.place, fixtures.target
SEALED = BackupManifest(format="drillbook/any/1", run="run", service="early", taken_at="2026-11-28T12:00:00.000Z")


@pytest.fixture(scope="module")
def primary(place):
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    cluster.sql(f'CREATE DATABASE "{cluster.service.database}"', database="postgres")
    cluster.sql(
        "CREATE TABLE ledger (id bigserial PRIMARY KEY, note text)",
        "INSERT INTO ledger (note) SELECT 'before ' || n FROM generate_series(1, 500) n",
    )
    return cluster


@pytest.fixture(scope="module")
def base(place, primary):
    return place.run("postgres.base_backup", service="primary", to=f"s3://{BUCKET}/base")


def codes(failure):
    return [one.code for one in failure.value.findings]


def processes(place):
    """Pids of programs in the site's folder that receive WAL."""
    found = []
    for link in entries("cwd"):
        try:
            words = (link.parent / "cmdline").read_bytes().split(b"\0")
            if str(link.readlink()).startswith(str(place.host.target.scratch)) and (
                any(one.endswith(b"pg_receivewal") for one in words) and words[0] not in (b"timeout", b"setsid")
            ):
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def write(primary, segments):
    """Rows in as many WAL segments, each of which continues in the next one."""
    for number in range(segments):
        primary.sql(
            f"INSERT INTO ledger (note) SELECT 'row {number}/' || n FROM generate_series(1, 50) n", "SELECT pg_switch_wal()"
        )
    primary.sql("INSERT INTO ledger (note) VALUES ('the last one')")


def ledger(primary):
    return primary.sql("SELECT count(*), sum(hashtextextended(l::text, 0)) FROM ledger l")


def without(folder, number, *, damaged=False):
    """Copy of a received WAL archive that lacks a segment, or has an empty first page in it."""
    copy = Path(f"{folder}-{'damaged' if damaged else 'lacks'}-{number}")
    shutil.copytree(folder, copy, copy_function=os.link)
    body = (copy / number).read_bytes()
    (copy / number).unlink()
    if damaged:
        (copy / number).write_bytes(bytes(8192) + body[8192:])
    return str(copy)


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


def test_nobody_waits_for_a_log_that_is_not_received(place, primary):
    with pytest.raises(StepFailed, match="nothing receives the WAL of primary"):
        place.run("postgres.wal_received", service="primary")


def test_a_receiver_that_lags_is_waited_for_and_named(place, primary):
    """The id of the run is longer than the names that a server stores."""
    ctx = place.context(run=f"{'database-lost-' * 4}20260101-000000-{os.urandom(4).hex()}")
    pid = place.run("postgres.stream_wal", service="primary", ctx=ctx)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StepFailed, match="was not received up to") as failure:
            place.run("postgres.wal_received", service="primary", ctx=ctx, within="1s")
        assert codes(failure) == ["wal-behind"]
    finally:
        os.kill(pid, signal.SIGCONT)
    place.run("postgres.wal_received", service="primary", ctx=ctx)
    place.run("postgres.stop_wal", service="primary", ctx=ctx)


def test_a_backup_of_another_service_is_not_intact(place, base, target):
    with pytest.raises(StepFailed, match="not of"):
        place.run("postgres.base_intact", service=target.service.name, **{"from": base["location"]})


def test_a_proof_is_of_the_cluster_and_not_of_the_name_of_its_service(place, primary, base, target):
    proof = place.action("postgres.base_intact", service="primary", **{"from": base["location"]})
    found = proof.run(place.context())
    assert Provenance().examine(proof, place.context(), found)["of_this_service"] is True
    target.create()
    target.start()
    moved = place.context()
    moved.services["primary"] = target.service.model_copy(update={"name": "primary", "database": "postgres"})
    with pytest.raises(StepFailed, match="is not a backup of primary") as failure:
        Provenance().examine(proof, moved, found)
    assert codes(failure) == ["backup-of-another"]
    assert failure.value.findings[0].wanted != failure.value.findings[0].measured.partition(" (manifest")[0]


def test_a_cluster_that_a_command_of_the_drill_made_is_the_restored_one(place, primary, base, target):
    """As for the built-in restore: the backup is verified once more after it, and no other backup may take its place."""
    proof = place.action("postgres.base_intact", service="primary", **{"from": base["location"]})
    found = proof.run(place.context())
    own = place.action(
        "command.run",
        argv=["true"],
        effect="write",
        restores={"service": "primary", "from": base["location"].partition("#")[0]},
    )
    target.create()
    target.start()
    moved = place.context()
    moved.services["primary"] = target.service.model_copy(update={"name": "primary", "database": "postgres"})
    known = Provenance(proven=[Proven("primary", Reference.parse(base["location"]), "postgres.base_intact", "inject.1")])
    facts = known.examine(own, moved, {"exit": 0})
    known.remember(facts)
    assert known.examine(proof, moved, found)["of_this_service"] is True
    assert (facts["exit"], known.made[0].equals(proof.subject(moved))) == (0, True)
    with pytest.raises(StepFailed, match="is not a backup of primary"):
        Provenance().examine(proof, moved, found)
    assert Provenance().examine(own, moved, {"exit": 0}) == {"exit": 0}, "of a backup that was not proven nothing is known"


def test_a_comparison_is_with_the_cluster_that_the_run_restored(place, primary, base, target):
    """Another cluster in its place is not the restored one, whatever it contains."""
    compared = place.action("postgres.matches", service="primary", manifest=base["location"])
    restored = compared.subject(place.context())
    assert Provenance(made=[restored]).examine(compared, place.context(), {}) == {}
    target.create()
    target.start()
    moved = place.context()
    moved.services["primary"] = primary.service.model_copy(update={"port": target.service.port})
    there = primary.service.port, target.service.port
    made = restored.model_copy(update={"of": {key: value.replace(*map(str, there)) for key, value in restored.of.items()}})
    with pytest.raises(StepFailed, match="primary is not the data that this run restored") as failure:
        Provenance(made=[made]).examine(compared, moved, {})
    assert codes(failure) == ["thing-replaced"]


def test_a_server_that_still_replays_its_log_is_waited_for(place, target):
    """As after a crash: the recovery of a run asks this server, and must not report it as unknown.

    A server that never finishes is reported in time.
    """
    target.create()
    (target.data / "standby.signal").touch()
    with (target.data / "postgresql.conf").open("a") as file:
        file.write("hot_standby = off\n")
    target.start()

    def ask(**how):
        with connected(place.context(**how), target.service, database="postgres") as session:
            return session.execute("SELECT pg_is_in_recovery()").fetchone()

    with pytest.raises(psycopg.OperationalError, match="not accepting connections"), target.connect("postgres"):
        pass
    with pytest.raises(psycopg.OperationalError, match="not accepting connections"):
        ask(seconds=1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        with pytest.raises(FutureTimeout):
            asked.result(0.5)
        target.promote()
        assert asked.result(20) == (False,)


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
    streamed = place.run(
        "postgres.stream_wal", service="primary", ctx=ctx, **{"for": "8s"}
    )  # long enough to start on a loaded machine
    until = time.monotonic() + 60
    while processes(place) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes(place) == []
    assert list(Path(streamed["folder"]).glob("0*"))
    assert place.action("postgres.stream_wal", service="primary").active(ctx) is False


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


def test_a_relay_whose_socket_would_have_a_long_path_is_told_before(place, primary):
    """The superuser logs in by peer authentication, and another user runs the programs."""
    host = LocalHost("db-1", target=Target(name="db-1", local=True, scratch="/tmp"))
    admin = primary.service.admin.model_copy(update={"socket": "/tmp"})
    service, runs = primary.service.model_copy(update={"admin": admin, "run_as": "nobody"}), ["r" * 90, "r"]
    refused_until(
        lambda: Tools.of(place.context(run=runs[0]), service, host).need(("pg_dump",), 1),
        "the path of a Unix socket in /tmp/.* would be longer than",
        lambda: runs.pop(0),
    )


def test_a_disk_without_the_space_is_told_before(place, primary):
    tools, wanted = Tools.of(place.context(), primary.service, place.host), [1 << 60, 1]
    said = "MiB free, but 1099511627776 MiB are needed"
    refused_until(lambda: tools.need_space(str(primary.data), wanted[0]), said, lambda: wanted.pop(0))


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
