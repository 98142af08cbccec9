"""The PostgreSQL actions, with real servers and a real store."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import Cancelled, CommandFailed, CouldNotVerify, NotReady, PlanError, StepFailed
from drillbook.sdk.action import Effect, find
from drillbook.sdk.transfer import Carrier
from drillbook.systems.postgres import early_upload
from drillbook.values import Secret
from tests.needs import need
from tests.processes import entries
from tests.skeleton import left_in
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import ADMIN_PASSWORD, BUCKET, USER_PASSWORD, secret
from tests.systems.refusals import refused_until

place, primary, backup, restored, target = (
    fixtures.place,
    fixtures.primary,
    fixtures.backup,
    fixtures.restored,
    fixtures.target,
)


def codes(failure):
    return [one.code for one in failure.value.findings]


def leftovers(place):
    return left_in(place.host.target.scratch)


# --- the whole way ---------------------------------------------------------------------------------------------------


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


def test_what_was_restored_matches_down_to_the_settings(place, backup, restored):
    facts = place.run("postgres.matches", service="spare", manifest=backup["manifest"])
    assert facts["tables"] == backup["tables"]
    assert set(facts["not_compared"]) == {"the structure", "the cluster"}
    assert restored.sql("SHOW work_mem") == [("5MB",)]
    assert restored.sql(
        "SELECT datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'"
    ) == [(40, "a shop; with 'quotes'")]
    with restored.connect(user="clerk") as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (500,)
        assert session.execute("SHOW statement_timeout").fetchone() == ("30s",)
    assert restored.sql("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'")[0][0] > 0
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


# --- damaged backups -------------------------------------------------------------------------------------------------


def body(place, key):
    return place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()


def flip(place, key):
    data = bytearray(body(place, key))
    data[len(data) // 2] ^= 1
    place.s3().put_object(Bucket=BUCKET, Key=key, Body=bytes(data))


def largest(place, prefix):
    return max(
        (key for key in place.keys(prefix + "/database/") if key.endswith(".gz")), key=lambda key: len(body(place, key))
    )


def test_every_damage_is_found_before_anything_is_made(place, backup, target):
    def damaged(change):
        location, prefix = place.copy(backup["location"])
        change(prefix)
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.restore", service=target.service.name, **{"from": location})
        assert not target.data.exists()
        assert leftovers(place) == []
        return codes(failure), [one.title for one in failure.value.findings]

    def cut(prefix):
        key = largest(place, prefix)
        place.s3().put_object(Bucket=BUCKET, Key=key, Body=body(place, key)[:-100])

    assert damaged(cut)[0] == ["backup-size"]
    assert damaged(lambda prefix: flip(place, largest(place, prefix)))[0] == ["backup-digest"]
    assert damaged(lambda prefix: flip(place, f"{prefix}/globals.sql"))[0] == ["backup-digest"]
    assert damaged(lambda prefix: place.s3().delete_object(Bucket=BUCKET, Key=largest(place, prefix)))[0] == [
        "backup-missing"
    ]
    assert damaged(lambda prefix: flip(place, f"{prefix}/manifest.json"))[0] == ["backup-manifest"]
    assert damaged(lambda prefix: place.s3().delete_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json"))[0] == [
        "backup-missing"
    ]


def test_a_manifest_that_leads_out_of_its_folder_is_refused(place, backup, target):
    _, prefix = place.copy(backup["location"])
    manifest = json.loads(body(place, f"{prefix}/manifest.json"))
    manifest["files"]["../../evil"] = manifest["files"]["schema.sql"]
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest))
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=target.service.name, **{"from": f"s3://{BUCKET}/{prefix}"})
    assert codes(failure) == ["backup-manifest"]


# --- a restore that is not clean -------------------------------------------------------------------------------------


def test_nothing_is_restored_over_a_database(place, primary, backup):
    before = primary.sql("SELECT system_identifier FROM pg_control_system()")
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service="primary", **{"from": backup["location"]})
    assert codes(failure) == ["restore-target"]
    assert primary.sql("SELECT system_identifier FROM pg_control_system()") == before


def test_nothing_is_restored_over_other_files(place, backup, target):
    target.data.mkdir()
    (target.data / "thesis.txt").write_text("years of work")
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=target.service.name, **{"from": backup["location"]})
    assert codes(failure) == ["restore-target"]
    assert (target.data / "thesis.txt").read_text() == "years of work"


def test_a_dropped_database_comes_back_into_the_running_cluster(place, backup, restored):
    restored.sql("DROP DATABASE shop WITH (FORCE)", database="postgres")
    facts = place.run("postgres.restore", service="spare", **{"from": backup["location"]})
    assert facts["fresh_cluster"] is False
    place.run("postgres.matches", service="spare", manifest=backup["manifest"])


@pytest.mark.parametrize(
    "line", ["pg_restore: error: could not execute query: ERROR:  boom", "pg_restore: warning: errors ignored on restore: 3"]
)
def test_a_tool_that_reports_errors_and_exits_0_is_found_out(place, backup, target, tmp_path, line):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in Path(target.service.bin).iterdir():
        (bin_folder / tool.name).symlink_to(tool)
    real = (bin_folder / "pg_restore").resolve()
    (bin_folder / "pg_restore").unlink()
    (bin_folder / "pg_restore").write_text(
        f'#!/bin/sh\ncase "$*" in *--exit-on-error*) echo "{line}" >&2; exit 0;; esac\nexec {real} "$@"\n'
    )
    (bin_folder / "pg_restore").chmod(0o755)
    target.service = place.clusters[target.service.name].service = target.service.model_copy(update={"bin": str(bin_folder)})
    with pytest.raises(StepFailed) as failure:
        place.run("postgres.restore", service=target.service.name, **{"from": backup["location"]})
    assert codes(failure) == ["restore-errors"]
    assert line.split(": ", 1)[1] in failure.value.findings[0].measured
    assert (place.folder / "run" / failure.value.findings[0].evidence[0]).read_text().strip() == line
    assert target.sql("SELECT 1 FROM pg_database WHERE datname = 'shop'", database="postgres") == []


def test_a_stopped_restore_leaves_no_half_database(place, backup, target, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in Path(target.service.bin).iterdir():
        if tool.name != "vacuumdb":
            (folder / tool.name).symlink_to(tool)
    begun = tmp_path / "begun"
    folder.chmod(0o755)
    (folder / "vacuumdb").write_text(
        f"#!/bin/sh\ncase $* in *--version*) exec {target.service.bin}/vacuumdb --version;; esac\ntouch {begun}\nsleep 60\n"
    )
    (folder / "vacuumdb").chmod(0o755)
    place.clusters[target.service.name].service = target.service.model_copy(update={"bin": str(folder)})
    ctx = place.context()

    def stop_once_begun():
        until = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < until:
            time.sleep(0.02)
        ctx.deadline.cancel.set()

    stopper = threading.Thread(target=stop_once_begun)
    stopper.start()
    with pytest.raises(Cancelled):
        place.run("postgres.restore", ctx=ctx, service=target.service.name, **{"from": backup["location"]})
    stopper.join()
    assert begun.exists()
    assert target.sql("SELECT 1 FROM pg_database WHERE datname = 'shop'", database="postgres") == []
    assert leftovers(place) == []


# --- what a comparison sees ------------------------------------------------------------------------------------------


CHANGES = {
    "a row changed": (
        "UPDATE types SET t = t || '!' WHERE id = 77",
        "UPDATE types SET t = rtrim(t, '!') WHERE id = 77",
        "table-content",
    ),
    "a number's scale changed": (
        "UPDATE types SET n = 11.1 WHERE id = 10",
        "UPDATE types SET n = 11.00 WHERE id = 10",
        "table-content",
    ),
    "a pair of equal rows more": ("INSERT INTO secured VALUES (9), (9)", "DELETE FROM secured WHERE a = 9", "table-content"),
    "a row lost": ("DELETE FROM parent WHERE a = 1", "INSERT INTO parent VALUES (1)", "table-content"),
    "a table lost": ("ALTER TABLE empty RENAME TO gone", "ALTER TABLE gone RENAME TO empty", "table-missing"),
    "a table more": ("CREATE TABLE more (a int)", "DROP TABLE more", "table-unexpected"),
    "a sequence behind": ("SELECT setval('orders_id_seq', 499)", "SELECT setval('orders_id_seq', 500)", "sequence-behind"),
    "a falling sequence behind": ("SELECT setval('down', -1)", "SELECT setval('down', -3)", "sequence-behind"),
    "a constraint dropped": (
        "ALTER TABLE orders DROP CONSTRAINT orders_type_id_fkey",
        "ALTER TABLE orders ADD CONSTRAINT orders_type_id_fkey FOREIGN KEY (type_id) REFERENCES types (id)",
        "schema-differs",
    ),
    "a grant more": ("GRANT DELETE ON types TO clerk", "REVOKE DELETE ON types FROM clerk", "schema-differs"),
    "an owner changed": ("ALTER TABLE parts OWNER TO auditor", "ALTER TABLE parts OWNER TO postgres", "schema-differs"),
    "row security off": (
        "ALTER TABLE secured NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE secured FORCE ROW LEVEL SECURITY",
        "schema-differs",
    ),
    "a setting lost": ("ALTER DATABASE shop RESET work_mem", "ALTER DATABASE shop SET work_mem = '5MB'", "schema-differs"),
    "a comment in a function changed": (
        "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS $$\n-- another comment\nSELECT a * 2\n$$",
        "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int LANGUAGE sql IMMUTABLE AS $$\n-- a comment that stays\nSELECT a * 2\n$$",
        "schema-differs",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_comparison_sees_that(place, backup, restored, change):
    do, undo, code = CHANGES[change]
    restored.sql(do)
    try:
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.matches", service="spare", manifest=backup["manifest"])
    finally:
        restored.sql(undo)
    assert code in codes(failure), failure.value.findings
    assert all(one.measured and one.wanted for one in failure.value.findings)
    assert failure.value.facts["tables"] >= backup["tables"] - 1
    if code == "schema-differs":
        diff = (place.folder / "run" / failure.value.findings[-1].evidence[0]).read_text()
        assert diff.startswith("--- backup\n+++ now\n")


def test_a_comparison_shows_no_password_that_the_schema_holds(place, primary):
    """In user mappings and subscriptions: no inventory contains these passwords, and the server shows them to its
    superuser.
    """
    old, new = "pass''word-of-the-remote", "pass''word-of-another"
    primary.sql(
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'far')",
        f"CREATE USER MAPPING FOR clerk SERVER far OPTIONS (\"user\" 'clerk', password '{old}')",
        "CREATE SUBSCRIPTION away CONNECTION 'host=far password=hunter2-of-the-subscription' PUBLICATION p "
        "WITH (connect = false)",
    )
    try:
        backup = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/secretive")
        kept = place.s3().get_object(Bucket=BUCKET, Key="secretive/schema.sql")["Body"].read().decode()
        assert "hunter2" not in kept
        assert "-of-the-remote" not in kept
        assert "host=far" in kept
        place.run("postgres.matches", service="primary", manifest=backup["manifest"])
        primary.sql(
            f"ALTER USER MAPPING FOR clerk SERVER far OPTIONS (SET password '{new}')",
            "ALTER SUBSCRIPTION away CONNECTION 'host=further password=hunter2-of-the-subscription'",
        )
        with pytest.raises(StepFailed) as failure:
            place.run("postgres.matches", service="primary", manifest=backup["manifest"])
        diff = (place.folder / "run" / failure.value.findings[-1].evidence[0]).read_text()
        assert "host=further" in diff
        assert "hunter2" not in diff
        assert "word-of" not in diff
    finally:
        primary.sql(
            "ALTER SUBSCRIPTION away DISABLE",
            "ALTER SUBSCRIPTION away SET (slot_name = NONE)",
            "DROP SUBSCRIPTION away",
            "DROP EXTENSION postgres_fdw CASCADE",
        )


def test_a_comparison_of_no_table_is_none(place, backup, restored):
    """Rows are missing, and no other check would notice."""
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key="rich/manifest.json")["Body"].read())
    names = [table["name"] for table in manifest["tables"]]
    with pytest.raises(CouldNotVerify, match="there are no rows to compare"):
        place.run("postgres.matches", service="spare", manifest=backup["manifest"], ignore=dict.fromkeys(names, "busy"))
    with pytest.raises(ValueError, match="must not be both in `tables` and in `ignore`"):
        place.action(
            "postgres.matches",
            service="spare",
            manifest=backup["manifest"],
            tables=["public.orders"],
            ignore={"public.orders": "busy"},
        )


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


def test_a_sequence_that_went_on_is_no_difference(place, backup, restored):
    restored.sql("SELECT nextval('orders_id_seq'), nextval('untouched')")
    place.run("postgres.matches", service="spare", manifest=backup["manifest"])


def test_the_canary_is_no_part_of_the_comparison(place, primary, target):
    primary.sql(
        "CREATE SCHEMA drillbook",
        "CREATE TABLE drillbook.canary (run text, number bigint)",
        "INSERT INTO drillbook.canary VALUES ('r', 1)",
    )
    try:
        facts = place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/canary")
        place.run("postgres.restore", service=target.service.name, **{"from": facts["location"]})
        assert target.sql("SELECT * FROM drillbook.canary") == [("r", 1)]
        target.sql("INSERT INTO drillbook.canary VALUES ('r', 2)")
        place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])
        target.sql("DROP SCHEMA drillbook CASCADE")
        with pytest.raises(StepFailed):
            place.run("postgres.matches", service=target.service.name, manifest=facts["manifest"])
    finally:
        primary.sql("DROP SCHEMA drillbook CASCADE")


# --- dumps that fail -------------------------------------------------------------------------------------------------


def with_tool(place, cluster, tmp_path, name, script):
    """Service like ``cluster``, with ``script`` in place of the program ``name``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in Path(cluster.service.bin).iterdir():
        if tool.name != name:
            (folder / tool.name).symlink_to(tool)
    (folder / name).write_text("#!/bin/sh\n" + script)
    (folder / name).chmod(0o755)
    place.extra["patched"] = cluster.service.model_copy(update={"bin": str(folder)})
    return "patched"


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


def test_a_failing_upload_leaves_nothing(place, primary, tmp_path, monkeypatch):
    """The store refuses a file that changes between its digest and its upload, and all other files are removed."""
    survey = Carrier.survey

    def spoil(self, folder, part_size):
        found = survey(self, folder, part_size)
        path = Path(folder, "schema.sql")
        if path.exists():  # it is not among the files that are uploaded while pg_dump runs
            path.write_bytes(path.read_bytes().replace(b"CREATE", b"CREATf", 1))
        return found

    monkeypatch.setattr(Carrier, "survey", spoil)
    with pytest.raises(StepFailed, match=r"schema\.sql"):
        place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/spoiled", part_size="5MiB")
    assert place.keys("spoiled") == []
    assert place.uploads() == []


@pytest.mark.parametrize("changed", [False, True])
def test_finished_files_are_uploaded_while_others_are_dumped(place, primary, tmp_path, changed, monkeypatch):
    """pg_dump keeps one file open until the store has all others except the contents; then it may change a file that
    was already uploaded.
    """
    monkeypatch.setattr(early_upload, "FIRST_LOOK_S", 0.1)
    real, go = Path(primary.service.bin, "pg_dump").resolve(), tmp_path / "go"
    change = 'for last in "$folder"/[0-9]*.gz; do :; done; echo more >> "$last"' if changed else ":"
    held = (
        'exec 9> "$folder/held.gz"; n=0; while [ ! -e '
        + str(go)
        + " ] && [ $n -lt 2000 ]; do sleep 0.05; n=$((n+1)); done; exec 9>&-"
    )
    name = with_tool(
        place,
        primary,
        tmp_path,
        "pg_dump",
        f'case "$*" in *directory*) for word; do case $word in --file=*) folder=${{word#--file=}};; esac; done; '
        f'{real} "$@" || exit; {held}; {change}; exit 0;; esac\nexec {real} "$@"\n',
    )
    to = f"early-{changed}"
    early = []

    def look():
        while not (links := list(Path(place.host.target.scratch).glob("**/early/known/database/*"))):
            time.sleep(0.05)
        while len(found := place.keys(f"{to}/database/")) < len(links):
            time.sleep(0.05)
        early.extend(found)
        go.touch()

    threading.Thread(target=look, daemon=True).start()
    place.run("postgres.dump", service=name, to=f"s3://{BUCKET}/{to}")
    assert early
    assert not any("toc.dat" in key or "held" in key for key in early)
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key=f"{to}/manifest.json")["Body"].read())
    assert {f"{to}/{name}" for name in manifest["files"]} == set(place.keys(f"{to}/")) - {f"{to}/manifest.json"}
    for name, one in manifest["files"].items():
        data = place.s3().get_object(Bucket=BUCKET, Key=f"{to}/{name}")["Body"].read()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (one["sha256"], one["size"])
    assert any(data.endswith(b"more\n") for data in bodies(place, f"{to}/database/")) is changed
    assert place.uploads() == []
    assert leftovers(place) == []


def bodies(place, prefix):
    return [place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in place.keys(prefix)]


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


# --- ready -----------------------------------------------------------------------------------------------------------


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


def test_restore_is_ready_before_its_backup_exists(place, primary):
    action = find("postgres.restore").with_unknown({"service": "primary"}, {"from"})
    action.ready(place.context())


def test_restore_is_not_ready_without_room(place, primary, backup):
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key="rich/manifest.json")["Body"].read())
    place.action("postgres.restore", service="primary", **{"from": backup["location"]}).ready(place.context())
    manifest["database"]["bytes"] = 1 << 55
    place.s3().put_object(Bucket=BUCKET, Key="huge/manifest.json", Body=json.dumps(manifest).encode())
    with pytest.raises(
        NotReady,
        match="MiB of free space without the present database, but the database in the backup needs 34359738368 MiB",
    ):
        place.action("postgres.restore", service="primary", **{"from": f"s3://{BUCKET}/huge"}).ready(place.context())


# --- the small ones --------------------------------------------------------------------------------------------------


def test_healthy_tells_about_the_server(place, primary):
    facts = place.run("postgres.healthy", service="primary")
    assert facts["version"].startswith("1")
    assert facts["in_recovery"] is False
    assert facts["bytes"] > 1_000_000
    assert set(facts) == {"version", "database", "bytes", "in_recovery", "uptime_s", "connections", "max_connections"}


def test_sql_reads_and_gives_json(place, primary):
    facts = place.run(
        "postgres.sql",
        service="primary",
        query="SELECT id, n, f, e, arr, jb, iv, b FROM types ORDER BY id LIMIT 4",
        **{"as": "admin"},
    )
    assert facts["columns"] == ["id", "n", "f", "e", "arr", "jb", "iv", "b"]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["value"] == 1
    assert facts["rowcount"] == 4
    big = place.run("postgres.sql", service="primary", query="SELECT generate_series(1, 1500)")
    assert (len(big["rows"]), big["rowcount"], big["truncated"]) == (1000, 1500, True)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "COMMIT; DELETE FROM orders",
        "SELECT nextval('orders_id_seq')",
        "WITH x AS (DELETE FROM orders RETURNING 1) SELECT * FROM x",
        "SET transaction_read_only = off",
    ],
)
def test_sql_cannot_write_unless_it_says_so(place, primary, query):
    before = primary.sql("SELECT count(*), (SELECT last_value FROM orders_id_seq) FROM orders")
    action = place.action("postgres.sql", service="primary", query=query, **{"as": "admin"})
    assert action.effect is Effect.READ
    if not query.startswith("SET"):
        with pytest.raises(StepFailed):
            action.run(place.context())
    assert primary.sql("SELECT count(*), (SELECT last_value FROM orders_id_seq) FROM orders") == before


def test_sql_writes_and_is_undone(place, primary):
    action = place.action(
        "postgres.sql",
        service="primary",
        query="INSERT INTO empty VALUES (5)",
        effect="write",
        undo_query="DELETE FROM empty WHERE a = 5",
        **{"as": "admin"},
    )
    assert action.effect is Effect.WRITE
    facts = action.run(place.context())
    assert (facts["rowcount"], facts["effect"]) == (1, "write")
    with pytest.raises(StepFailed) as caught:
        action.model_copy(update={"query": "INSERT INTO missing VALUES (5)"}).run(place.context())
    assert caught.value.facts == {"effect": "write"}, "a failure that the drill allows may have changed data"
    assert primary.sql("SELECT a FROM empty") == [(5,)]
    undo = action.undo(place.context())
    for _ in range(2):
        place.run(undo.action, **undo.params)
    assert primary.sql("SELECT a FROM empty") == []
    with pytest.raises(PlanError):
        place.action("postgres.sql", service="primary", query="SELECT 1", undo_query="SELECT 1").ready(place.context())


def test_a_query_ends_with_the_deadline(place, primary):
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        place.run("postgres.sql", ctx=place.context(seconds=1), service="primary", query="SELECT pg_sleep(300)")
    assert time.monotonic() - begun < 300, "before the query ends by itself"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_stopping_and_starting_again(place, primary, mode):
    ctx = place.context()
    stop = place.action("postgres.stop", service="primary", mode=mode)
    stop.ready(ctx)
    assert stop.active(ctx) is False
    undo = stop.undo(ctx)
    stop.run(ctx)
    assert stop.active(ctx) is True
    with pytest.raises(StepFailed, match="ALTER DATABASE"):
        place.run("postgres.admit", service="primary")
    for _ in range(2):
        for command in undo.commands:
            place.host.run(command, deadline=ctx.deadline).check()
    assert stop.active(ctx) is False


def covered(place):
    """Context of a step whose drill verifies a backup of the whole cluster."""
    return replace(place.context(), proofs=frozenset({"postgres.base_intact"}))


def test_a_cluster_with_a_database_that_no_dump_covers_is_not_lost(place, primary, target):
    target.create()
    target.start()
    target.sql("CREATE DATABASE shop", "CREATE DATABASE ledger", database="postgres")
    lose = place.action("postgres.lose_data", service=target.service.name)
    with pytest.raises(NotReady, match="also contains ledger, which a dump of shop cannot restore"):
        lose.ready(place.context())
    with pytest.raises(StepFailed, match=r"also contains ledger.*nothing was lost"):
        lose.run(place.context())
    lose.ready(covered(place))
    assert target.sql("SELECT 1", database="ledger") == [(1,)]
    target.sql("DROP DATABASE ledger", database="postgres")
    lose.ready(place.context())
    target.kill()
    with pytest.raises(NotReady, match="cannot be queried for its databases"):
        lose.ready(place.context())
    with pytest.raises(StepFailed, match=r"cannot be queried for its databases.*nothing was lost"):
        lose.run(place.context())
    assert target.data.exists()


def test_losing_data_refuses_what_is_no_data_directory(place, target):
    for path in ("/", "/home", "/var/../etc/x"):
        place.extra["other"] = target.service.model_copy(update={"data_directory": path})
        with pytest.raises(StepFailed, match=r"nothing was removed|not (be )?removed|not the data directory"):
            place.run("postgres.lose_data", service="other", ctx=covered(place))
    target.data.mkdir()
    (target.data / "thesis.txt").write_text("years of work")
    with pytest.raises(StepFailed, match="not the data directory"):
        place.run("postgres.lose_data", service=target.service.name, ctx=covered(place))
    lose, kept = place.action("postgres.lose_data", service=target.service.name), target.data.with_name("kept")

    def move_and_create():
        target.data.rename(kept)
        target.create()
        target.start()

    refused_until(lambda: lose.ready(covered(place)), "is not the data directory of a cluster", move_and_create)
    assert (kept / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["postgres.lose_data", "postgres.recover"])
def test_a_data_directory_that_cannot_be_looked_at_is_told_before(place, primary, name):
    fields = {} if name == "postgres.lose_data" else {"from": f"s3://{BUCKET}/x"}
    place.extra["other"] = primary.service.model_copy(update={"run_as": "nobody-there"})
    action = place.action(name, service="other", **fields)
    refused_until(
        lambda: action.ready(covered(place)),
        "db-1: cannot examine .*nobody-there",
        lambda: place.extra.update(other=primary.service),
    )


def test_a_cluster_whose_server_is_dead_is_neither_lost_nor_untouched(place, primary, target):
    """As when the host dies between the two steps: the data exists, and no server runs."""
    target.create()
    target.start()
    target.sql("CREATE DATABASE shop", database="postgres")
    ctx = place.context()
    lose = place.action("postgres.lose_data", service=target.service.name)
    assert (lose.active(ctx), lose.untouched(ctx)) == (False, True)
    target.kill()
    assert lose.untouched(ctx) is False
    with pytest.raises(CouldNotVerify, match=r"is in the state `cluster`, but target-.* does not answer"):
        lose.active(ctx)
    target.start()
    assert (lose.active(ctx), lose.untouched(ctx)) == (False, True)


def test_half_a_data_directory_is_never_started_and_never_untouched(place, primary, target):
    """Data directory that cannot be moved, because it is a link, and that contains a file which cannot be deleted."""
    if os.geteuid() != 0:
        pytest.skip("only root makes files immutable")
    need("chattr")
    real = target.data.with_name("elsewhere")
    real.mkdir()
    subprocess.run(["chown", "--reference", str(target.data.parent), str(real)], check=True)
    target.data.symlink_to(real)
    target.create()
    target.start()
    fixed = real / "pg_xact" / "0000"
    if subprocess.run(["chattr", "+i", str(fixed)], check=False, capture_output=True).returncode:
        pytest.skip("this file system knows no immutable files")
    ctx = place.context()
    lose = place.action("postgres.lose_data", service=target.service.name)
    try:
        with pytest.raises(CommandFailed, match="status 6"):
            lose.run(ctx)
        assert lose.untouched(ctx) is False
        with pytest.raises(CouldNotVerify):
            lose.active(ctx)
        with pytest.raises(subprocess.CalledProcessError):
            target.start()
    finally:
        subprocess.run(["chattr", "-i", str(fixed)], check=True)
        target.data.unlink()
        shutil.rmtree(real)


def test_losing_data_spares_another_process_with_the_old_pid(place, primary, target):
    """A stale postmaster.pid contains the pid of an unrelated process."""
    target.create()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (target.data / "postmaster.pid").write_text(f"{bystander.pid}\n{target.data}\n")
        facts = place.run("postgres.lose_data", service=target.service.name, ctx=covered(place))
        assert facts["pid"] is None
        assert bystander.poll() is None
        os.kill(bystander.pid, signal.SIGKILL)
    assert not target.data.exists()


def test_a_secret_is_only_its_source():
    assert "hidden" not in repr(Secret(source="env", name="TEST_PG_USER"))
