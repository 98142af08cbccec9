"""Backups by drills in a store with a rule to encrypt, for every system, with age itself as an independent check."""

import io
import json
import re
import shutil
import subprocess
import tarfile

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.errors import NotReady, StepFailed
from drillbook.inventory import inventory
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.sdk.encryption import Encryption
from drillbook.systems.units.service import Process
from drillbook.values import Secret
from tests import keys
from tests.needs import need
from tests.systems.ground import PLAIN
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, site
from tests.systems.redis.unit import unit
from tests.systems.refusals import refused_until

primary, target = fixtures.primary, fixtures.target


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    need("age")
    return keys.made(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, key):
    with site(tmp_path_factory.mktemp("site")) as made:
        made.store = ruled(made.store, key, key.identity)
        made.extra["app"] = Process(name="app", host="db-1")
        yield made


def ruled(store, key, identity):
    return store.model_copy(update={"encrypt": Encryption(age=(key.recipient,)), "identity": identity})


@pytest.fixture
def without(place, key, tmp_path):
    """Replace the identity of the store during the test."""
    kept = place.store

    def exchange(how):
        identity = {
            "none": None,
            "not set": Secret(source="env", name="NO_SUCH_KEY"),
            "another": keys.made(tmp_path, "another").identity,
        }[how]
        place.store = ruled(kept, key, identity)

    yield exchange
    place.store = kept


def body(place, name):
    return place.s3().get_object(Bucket=BUCKET, Key=name)["Body"].read()


def manifest(place, folder):
    return json.loads(body(place, f"{folder}/manifest.json"))


def checked(place, name, **fields):
    """Run the check of the action, then the action."""
    action, ctx = place.action(name, **fields), place.context()
    action.ready(ctx)
    return action.run(ctx)


def lost(run):
    with pytest.raises(StepFailed) as failure:
        run()
    assert [one.code for one in failure.value.findings] == ["backup-key-lost"]


@pytest.fixture(scope="module")
def folder(place):
    made = place.folder / "tree" / "data"
    made.mkdir(parents=True)
    (made / "orders").write_bytes(b"secret orders\n" * 10_000)
    return made


@pytest.fixture(scope="module")
def archive(place, folder):
    return checked(place, "files.archive", service="app", path=str(folder), to=f"s3://{BUCKET}/files")


def test_an_archive_is_stored_as_cipher_text_that_age_opens(place, key, archive):
    assert place.keys("files/") == ["files/archive.tar.zst.age", "files/manifest.json"]
    stored = body(place, "files/archive.tar.zst.age")
    assert stored.startswith(b"age-encryption.org/v1\n-> X25519 ")
    tar = subprocess.run([need("zstd"), "-dcq"], input=key.opened(stored), stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        assert found.extractfile("./data/orders").read() == b"secret orders\n" * 10_000
    noted = manifest(place, "files")
    assert noted["encrypted"] == {"age": [key.recipient]}
    assert noted["archive"]["size"] == len(stored) == archive["packed"]
    assert noted["archive"]["plain"]["size"] == len(key.opened(stored))
    assert [path for path in place.folder.joinpath("scratch").rglob("*") if path.is_file()] == []


def test_an_archive_is_verified_and_extracted(place, folder, archive):
    checked(place, "files.backup_intact", service="app", **{"from": archive["location"]})
    before = (folder / "orders").read_bytes()
    shutil.rmtree(folder)
    checked(place, "files.extract", service="app", **{"from": archive["location"]})
    assert (folder / "orders").read_bytes() == before
    assert [path for path in place.folder.joinpath("scratch").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("how", ["none", "not set", "another"])
def test_a_lost_key_is_found_before_anything_is_fetched_or_broken(place, archive, without, how):
    without(how)
    for name, more in (("files.backup_intact", {}), ("files.extract", {"path": str(place.folder / "elsewhere" / "data")})):
        lost(lambda name=name, more=more: place.run(name, service="app", **more, **{"from": archive["location"]}))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[:-1], "backup-size"),
        (lambda data: data[:100] + b"x" + data[101:], "backup-digest"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "backup-digest"),
    ],
)
def test_a_changed_cipher_text_is_found_by_its_digest(place, archive, change, code):
    location, prefix = place.copy(archive["location"])
    name = next(key for key in place.keys(prefix) if key.endswith(".age"))
    place.s3().put_object(Bucket=BUCKET, Key=name, Body=change(body(place, name)))
    with pytest.raises(StepFailed) as failure:
        place.run("files.backup_intact", service="app", **{"from": location})
    assert [one.code for one in failure.value.findings] == [code]


def test_a_dump_of_a_database(place, key, primary, target, without):
    taken = checked(place, "postgres.dump", service="primary", to=f"s3://{BUCKET}/dump")
    names = place.keys("dump/")
    assert "dump/globals.sql.age" in names
    assert [name for name in names if not name.endswith(".age")] == ["dump/manifest.json"]
    assert b"CREATE ROLE" in key.opened(body(place, "dump/globals.sql.age"))
    origin = {"from": taken["location"]}
    assert place.run("postgres.backup_intact", service="primary", **origin)["tables"] > 5
    name = next(name for name, cluster in place.clusters.items() if cluster is target)
    place.run("postgres.restore", service=name, **origin)
    place.run("postgres.matches", service=name, manifest=taken["manifest"])
    without("another")
    lost(lambda: place.run("postgres.backup_intact", service="primary", **origin))
    lost(lambda: place.run("postgres.matches", service=name, manifest=taken["manifest"]))


def test_a_base_backup_of_a_cluster(place, primary):
    taken = checked(place, "postgres.base_backup", service="primary", to=f"s3://{BUCKET}/base")
    assert place.keys("base/") == [
        "base/backup_manifest.age",
        "base/base.tar.gz.age",
        "base/manifest.json",
        "base/pg_wal.tar.gz.age",
    ]
    assert place.run("postgres.base_intact", service="primary", **{"from": taken["location"]})["files"] == 3


def test_a_keyspace(place, tmp_path_factory, without):
    with unit(tmp_path_factory.mktemp("unit"), place.store) as cache:
        cache.client().set("orders", "17")
        taken = cache.run("redis.save", to=f"s3://{BUCKET}/keyspace")
        assert place.keys("keyspace/") == ["keyspace/dump.rdb.age", "keyspace/manifest.json"]
        assert cache.run("redis.backup_intact", **{"from": taken["location"]})["keys"] == taken["keys"] > 0
        cache.client().flushall()
        cache.run("redis.restore", **{"from": taken["location"]})
        assert cache.client().get("orders") == b"17"


def test_a_copy_inside_of_the_store_is_refused(place):
    place.s3().put_object(Bucket=BUCKET, Key="live/one", Body=b"1")
    copy, encrypting = place.action("s3.copy", service="store", prefix="live/", to=f"s3://{BUCKET}/copy"), place.store
    try:
        refused_until(
            lambda: copy.ready(place.context()),
            "Drillbook cannot encrypt this kind of backup",
            lambda: setattr(place, "store", encrypting.model_copy(update={"encrypt": ()})),
        )
    finally:
        place.store = encrypting
    assert place.keys("copy/") == []


def test_a_host_without_age_is_not_ready_before_a_backup_is_known(place, tmp_path, monkeypatch):
    action = place.action("files.backup_intact", service="app", **{"from": f"s3://{BUCKET}/later"})
    action.ready(place.context())
    for tool in ("sh", "env", "python3", "tar", "gzip", "grep", "cat"):
        (tmp_path / tool).symlink_to(shutil.which(tool, path=PLAIN["PATH"]))  # elsewhere python3 may be a script
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReady, match="has no program age"):
        action.ready(place.context())


INVENTORY = """\
environment: lab
hosts: {here: {local: true, scratch: SCRATCH, lease: {boot: none}}}
services:
  data: {kind: folder, host: here, path: FOLDER}
  backups:
    kind: s3
    host: here
    endpoint: ENDPOINT
    bucket: backups-for-tests
    access_key: !env TEST_S3_KEY
    secret_key: !env TEST_S3_SECRET
    encrypt: {age: [RECIPIENT]}
    identity: !file IDENTITY
"""
DRILL = """\
drill: sample
title: A sample
service: data
backup:
  - files.archive: {service: data, path: FOLDER, to: "s3://backups-for-tests/{{ run.id }}/data"}
    save: made
  - files.backup_intact: {service: data, from: "{{ made.location }}"}
inject:
  - files.lose: {service: data, path: FOLDER, from: "{{ made.location }}"}
restore:
  - files.extract: {service: data, from: "{{ made.location }}"}
verify:
  - files.matches: {service: data, manifest: "{{ made.manifest }}"}
"""


@pytest.mark.parametrize("known", [True, False])
def test_a_drill_loses_data_only_while_the_key_is_there(place, key, tmp_path, known):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders").write_text("1")
    (tmp_path / "drills").mkdir()
    identity = key.identity if known else keys.made(tmp_path, "another").identity
    words = {
        "SCRATCH": tmp_path / "scratch",
        "FOLDER": tmp_path / "data",
        "ENDPOINT": f'"{place.store.endpoint}"',
        "RECIPIENT": key.recipient,
        "IDENTITY": identity.name,
    }
    for name, template in (("inventory.yml", INVENTORY), ("drills/sample.yml", DRILL)):
        text = re.sub("|".join(words), lambda match: str(words[match[0]]), template)
        (tmp_path / name).write_text(text)
    before = (tmp_path / "data").stat().st_ino
    given = inventory.load(tmp_path / "inventory.yml")
    plan = planner.make(spec.load(tmp_path / "drills" / "sample.yml"), given)
    _, view = Orchestrator(Project(tmp_path), given, lambda event: None).run(plan)
    codes = [one.code for one in view.result.findings]
    assert (view.result.verdict, codes) == ((Verdict.PASSED, []) if known else (Verdict.FAILED, ["backup-key-lost"])), (
        view.result.reason
    )
    assert (tmp_path / "data" / "orders").read_text() == "1"
    assert ((tmp_path / "data").stat().st_ino == before) is not known
