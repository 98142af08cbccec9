"""The PostgreSQL actions, with real servers and a real store."""

import contextlib
import json
import threading
import time
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import Cancelled, CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.transfer import Carrier
from drillbook.values import Secret
from tests.processes import entries
from tests.systems.estate import codes
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import ADMIN_PASSWORD, BUCKET, USER_PASSWORD, flip, leftovers, secret, with_tool
from tests.systems.refusals import refused_until

place, primary, backup, target = fixtures.place, fixtures.primary, fixtures.backup, fixtures.target


def test_a_backup_says_what_it_holds(place, primary, backup):
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key="rich/manifest.json")["Body"].read())
    tables = {table["name"]: table for table in manifest["tables"]}
    assert tables["public.types"]["rows"] == 2000
    assert tables["public.parts_1"]["rows"] + tables["public.parts_2"]["rows"] == 365
    assert '"Odd Schema"."Table ""x"".%s"' in tables
    assert tables["public.summary"]["digest"] is None
    assert "recomputed" in tables["public.summary"]["note"]
    assert tables["pg_catalog.pg_largeobject"]["rows"] == 1
    assert manifest["database"]["connection_limit"] == 40
    assert manifest["database"]["owner"] == "clerk"
    assert {"globals.sql", "schema.sql", "database/toc.dat", "config/postgresql.conf", "config/pg_hba.conf"} <= set(
        manifest["files"]
    )
    assert {name: (one["size"]) for name, one in manifest["files"].items()} == {
        key[5:]: place.s3().head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        for key in place.keys("rich/")
        if key != "rich/manifest.json"
    }
    assert backup["rows"] == sum(table["rows"] for table in manifest["tables"])
    assert backup["location"] == f"s3://{BUCKET}/rich#{backup['manifest'].partition('#')[2]}"
    assert leftovers(place) == []


def test_losing_everything_and_coming_back(place, primary, backup):
    """The complete drill on one host: closed until the content is verified, then open."""
    ctx = place.context(step="inject.1")
    lose = place.action("postgres.lose_data", service="primary")
    lose.ready(ctx)
    assert lose.active(ctx) is False
    assert lose.undo(ctx).kind == "restore"
    pid = primary.pid()
    facts = lose.run(ctx)
    assert facts["pid"] == pid
    assert facts["files"] > 900
    assert not primary.data.exists()
    assert primary.data.parent.exists()
    assert lose.active(ctx) is True
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.healthy", service="primary")
    assert codes(failure) == ["postgres-unhealthy"]
    with pytest.raises(CouldNotVerify):
        place.run("postgres.matches", service="primary", manifest=backup["manifest"])

    restore = place.action("postgres.restore", service="primary", closed=True, **{"from": backup["location"]})
    restore.ready(ctx)
    undo = restore.undo(ctx)
    again = place.context(step="restore.1")
    facts = restore.run(again)
    assert facts["fresh_cluster"]
    assert set(facts["seconds"]) == {"fetch", "cluster", "globals", "data", "properties", "analyze", "sync", "total"}
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        primary.connect(user="clerk")
    place.run("postgres.matches", service="primary", manifest=backup["manifest"])
    assert lose.active(ctx) is False

    assert undo.action == "postgres.clear_restore"
    assert restore.active(again) is True
    assert place.run(undo.action, **undo.params) == {"discarded": [], "opened": False}, "it is not of that run"
    assert place.run(undo.action, ctx=again, **undo.params) == {"discarded": [], "opened": True}
    assert place.run(undo.action, ctx=again, **undo.params) == {"discarded": [], "opened": False}
    assert restore.active(again) is False
    for _ in range(2):
        assert place.run("postgres.admit", service="primary") == {"database": "shop", "connection_limit": 40}
    with primary.connect(user="clerk") as session:
        session.execute("INSERT INTO empty VALUES (1)")
    primary.sql("DELETE FROM empty")
    place.run("postgres.matches", service="primary", manifest=backup["manifest"])
    assert place.run("postgres.healthy", service="primary")["in_recovery"] is False


def test_a_dump_beside_writers_is_one_state(place, primary, target):
    """Digests and dump come from the same snapshot, even with concurrent writes."""
    over = threading.Event()

    def write():
        with primary.connect() as session:
            while not over.is_set():
                with contextlib.suppress(psycopg.errors.DeadlockDetected), session.transaction():
                    session.execute("UPDATE types SET n = n + 1, t = t || '.' WHERE i % 10 = (random() * 10)::int")
                    session.execute("INSERT INTO orders (item) SELECT 'more' FROM generate_series(1, 10)")
                    session.execute("DELETE FROM orders WHERE item = 'more' AND random() < 0.5")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/busy")
    finally:
        over.set()
        for writer in writers:
            writer.join()
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.matches", service="primary", manifest=facts["manifest"])
    assert set(codes(failure)) == {"table-content"}
    place.run("postgres.restore", service=target.service.name, **{"from": facts["location"]})
    place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])


def test_large_files_go_in_parts(place, primary, target):
    primary.sql(
        "CREATE TABLE noise AS SELECT g, string_agg(md5(random()::text), '') AS t "
        "FROM generate_series(1, 15000) AS g, generate_series(1, 30) GROUP BY g"
    )
    try:
        facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/parts", part_size="5MiB")
        etags = [place.s3().head_object(Bucket=BUCKET, Key=key)["ETag"] for key in place.keys("parts/")]
        assert any(etag.endswith(('-2"', '-3"')) for etag in etags), etags
        assert place.uploads() == []
        place.run("s3.matches", manifest=facts["manifest"])
        place.run("postgres.restore", service=target.service.name, **{"from": facts["location"]})
        place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])
    finally:
        primary.sql("DROP TABLE noise")


def test_a_host_without_python_uses_curl(place, primary, target, monkeypatch, tmp_path):
    for tool in (
        "sh",
        "curl",
        "sha256sum",
        "mkdir",
        "rm",
        "cut",
        "dd",
        "head",
        "tail",
        "find",
        "sort",
        "wc",
        "sed",
        "cat",
        "mv",
        "dirname",
        "df",
        "awk",
        "tr",
        "env",
        "unshare",
        "mktemp",
        "sleep",
        "grep",
        "readlink",
        "ls",
        "stat",
        "test",
        "base64",
        "printf",
        "xxd",
        "od",
    ):
        for folder in ("/usr/bin", "/bin"):
            if Path(folder, tool).exists() and not (tmp_path / tool).exists():
                (tmp_path / tool).symlink_to(Path(folder, tool))
    primary.sql(
        "CREATE TABLE noise AS SELECT g, string_agg(md5(random()::text), '') AS t "
        "FROM generate_series(1, 15000) AS g, generate_series(1, 30) GROUP BY g"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    ctx = place.context()
    assert Carrier(place.host, ctx.deadline, ctx.scratch).tool() == "curl"
    try:
        facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/curl", part_size="5MiB")
        place.run("s3.matches", manifest=facts["manifest"])
        place.run("postgres.restore", service=target.service.name, **{"from": facts["location"]})
        place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])
        damaged, prefix = place.copy(facts["location"])
        flip(place, f"{prefix}/schema.sql")
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.restore", service=target.service.name, **{"from": damaged})
        assert codes(failure) == ["backup-digest"]
    finally:
        monkeypatch.undo()
        primary.sql("DROP TABLE noise")


def test_a_database_without_a_table_is_no_backup(place, primary):
    primary.sql("CREATE DATABASE hollow")
    try:
        place.extra["hollow"] = primary.service.model_copy(update={"name": "hollow", "database": "hollow"})
        with pytest.raises(StepFailed, match="the database hollow contains no table"):
            place.run("postgres.dump", service="hollow", to=f"s3://{BUCKET}/hollow")
    finally:
        place.extra.pop("hollow", None)
        primary.sql("DROP DATABASE hollow")
    assert place.keys("hollow/") == []
    assert leftovers(place) == []


def test_a_failing_dump_leaves_nothing(place, primary, tmp_path):
    real = Path(primary.service.bin, "pg_dump").resolve()
    name = with_tool(
        place,
        primary,
        tmp_path,
        "pg_dump",
        f'case "$*" in *directory*) {real} "$@"; echo "pg_dump: error: disk on fire" >&2; exit 3;; esac\nexec {real} "$@"\n',
    )
    with pytest.raises(StepFailed, match="disk on fire"):
        place.run("postgres.dump", service=name, to=f"s3://{BUCKET}/failing")
    assert place.keys("failing") == []
    assert place.uploads() == []
    assert leftovers(place) == []


def test_a_stopped_dump_leaves_nothing(place, primary, tmp_path):
    real = Path(primary.service.bin, "pg_dump").resolve()
    dumping = tmp_path / "dumping"
    name = with_tool(
        place,
        primary,
        tmp_path,
        "pg_dump",
        f'case "$*" in *directory*) : > {dumping}; exec sleep 600;; esac\nexec {real} "$@"\n',
    )
    ctx = place.context()

    def stop():
        while not dumping.exists():
            time.sleep(0.02)
        ctx.deadline.cancel.set()

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Cancelled):
        place.run("postgres.dump", ctx=ctx, service=name, to=f"s3://{BUCKET}/stopped")
    assert place.keys("stopped") == []
    assert leftovers(place) == []
    assert primary.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == [(0,)]


def test_a_backup_is_never_overwritten(place, primary, backup):
    before = place.keys("rich/")
    with pytest.raises(StepFailed, match="already"):
        place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/rich")
    assert place.keys("rich/") == before
    place.run("s3.matches", manifest=backup["manifest"])


def test_no_password_shows_in_a_process_list_or_a_record(place, primary, target):
    seen, over = set(), threading.Event()

    def watch():
        while not over.is_set():
            for path in entries("cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/quiet")
        facts |= place.run("postgres.restore", service=target.service.name, **{"from": facts["location"]})
    finally:
        over.set()
        watcher.join()
    lines = b"\n".join(seen)
    assert b"pg_dump" in lines
    assert b"pg_restore" in lines
    assert b"initdb" in lines
    for word in (ADMIN_PASSWORD, USER_PASSWORD, "X-Amz-Signature", "labsecret"):
        assert word.encode() not in lines
        assert word not in json.dumps(facts)
        for path in (place.folder / "run" / "evidence").iterdir():
            assert word not in path.read_text()


def test_ready_says_what_is_missing(place, primary, tmp_path, target):
    def refused(service_name, **fields):
        with pytest.raises(NotReady) as refusal:
            place.action("postgres.dump", service=service_name, to=f"s3://{BUCKET}/x", **fields).ready(
                place.context(seconds=20)
            )
        assert refusal.value.hint
        return refusal.value.message

    place.action("postgres.dump", service="primary", to=f"s3://{BUCKET}/x").ready(place.context())
    assert f"{target.service.name} cannot be reached as postgres: " in refused(target.service.name)
    place.extra["other"] = primary.service.model_copy(
        update={"admin": primary.service.admin.model_copy(update={"password": secret("no", "TEST_WRONG")})}
    )
    assert "password authentication failed" in refused("other")
    place.extra["other"] = primary.service.model_copy(
        update={"admin": primary.service.admin.model_copy(update={"user": "clerk", "password": primary.service.password})}
    )
    assert "is no superuser" in refused("other")
    place.extra["other"] = primary.service.model_copy(update={"bin": "/nowhere"})
    assert "has no /nowhere/pg_dump" in refused("other")
    patched = with_tool(place, primary, tmp_path, "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'\n")
    assert "has version 9, but the server has version" in refused(patched)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret_key": ("wrong", "TEST_WRONG_KEY")}, "SignatureDoesNotMatch"),
        ({"bucket": "no-such-bucket"}, "NoSuchBucket"),
        ({"endpoint": "http://127.0.0.1:9"}, "could not show the bucket"),
    ],
)
def test_a_store_that_is_not_ready(place, primary, change, words):
    ctx = place.context()
    change = {key: secret(*value) if isinstance(value, tuple) else value for key, value in change.items()}
    service = place.store.model_copy(update=change)
    ctx.services["store"] = service
    with pytest.raises(StepFailed):
        place.action("postgres.dump", service="primary", to=f"s3://{service.bucket}/x").run(ctx)

    def check():
        bucket = ctx.services["store"].bucket
        place.action("postgres.dump", service="primary", to=f"s3://{bucket}/x").ready(ctx)

    refused_until(check, words, lambda: ctx.services.update(store=place.store))


def test_healthy_tells_about_the_server(place, primary):
    facts = place.run("postgres.healthy", service="primary")
    assert facts["version"].startswith("1")
    assert facts["in_recovery"] is False
    assert facts["bytes"] > 1_000_000
    assert set(facts) == {"version", "database", "bytes", "in_recovery", "uptime_s", "connections", "max_connections"}


def test_a_secret_is_only_its_source():
    assert "hidden" not in repr(Secret(source="env", name="TEST_PG_USER"))
