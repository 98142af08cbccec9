"""PostgreSQL backups that an attacker with write access to the bucket changed, with matching digests."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.signing import keys
from tests.attestation.forging import throw_away_key
from tests.needs import need
from tests.program import here
from tests.systems.postgres import fixtures
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY, secret

place = fixtures.place
ROLE = "watchman"


@pytest.fixture(scope="module")
def primary(place):
    cluster = place.place("primary")
    cluster.create()
    cluster.start()
    cluster.sql(
        "CREATE ROLE clerk LOGIN PASSWORD 'hidden-user-word'",
        f"CREATE ROLE {ROLE} LOGIN CONNECTION LIMIT 3",
        f'CREATE DATABASE "{cluster.service.database}" OWNER clerk',
        database="postgres",
    )
    cluster.sql(
        "CREATE TABLE ledger (id bigserial PRIMARY KEY, note text)",
        "INSERT INTO ledger (note) SELECT 'entry ' || n FROM generate_series(1, 200) n",
    )
    return cluster


class Bench:
    """Project whose backups are in a bucket to which others can write."""

    def __init__(self, root, place):
        self.root, self.place = root, place
        (root / "drills").mkdir()

    def run(self, text):
        """Run a drill of these phases as its operator would; the events of the journal are in ``said``."""
        store = (
            f"store: {{kind: s3, endpoint: {self.place.store.endpoint}, bucket: {BUCKET}, host: controller, "
            "access_key: !env TEST_S3_KEY, secret_key: !env TEST_S3_SECRET}"
        )
        services = "".join(f"  {line}\n" for line in (store, *map(_service, self.place.clusters.values())))
        (self.root / "lab.yml").write_text(f"environment: lab\nhosts: {{{here(self.root)}}}\nservices:\n{services}")
        known = inventory.load(self.root / "lab.yml")
        path = self.root / "drills" / "sample.yml"
        path.write_text(f"drill: sample\ntitle: A sample\nservice: primary\n{text}")
        folder, view = Orchestrator(Project(self.root), known, lambda event: None).run(planner.make(spec.load(path), known))
        self.said = (folder / "journal.jsonl").read_text()
        return view.result


def _service(cluster):
    known = cluster.service
    return (
        f"{known.name}: {{kind: postgres, host: controller, port: {known.port}, database: {known.database}, "
        f"user: {known.user}, password: !env TEST_PG_USER, data_directory: {known.data_directory}, bin: {known.bin}, "
        "admin: {user: postgres, password: !env TEST_PG_ADMIN}}"
    )


@pytest.fixture(scope="module")
def bench(place, primary, tmp_path_factory):
    need("ssh-keygen")
    for name, value in (("TEST_S3_KEY", KEY), ("TEST_S3_SECRET", SECRET_KEY)):
        secret(value, name)
    made = Bench(tmp_path_factory.mktemp("project"), place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(made.root / "config"))
        yield made


@pytest.fixture(scope="module")
def taken(bench):
    """Locations of two genuine backups, signed by the project's key: a dump and a base backup."""
    result = bench.run(
        f"backup:\n  - postgres.dump: {{service: primary, to: 's3://{BUCKET}/dump'}}\n    save: dump\n"
        f"  - postgres.base_backup: {{service: primary, to: 's3://{BUCKET}/base'}}\n    save: base\n"
        "verify:\n  - postgres.backup_intact: {service: primary, from: '{{ dump.location }}'}\n"
        "  - postgres.base_intact: {service: primary, from: '{{ base.location }}'}\n"
    )
    assert result.verdict == "passed", result.reason
    return {step.action: step.facts["location"] for step in result.steps if step.facts.get("signed")}


class Forged:
    """Copy of a genuine backup with its signature, which a test changes."""

    def __init__(self, bench, location):
        self.s3 = bench.place.s3()
        self.prefix = bench.place.copy(location)[1]
        self.manifest = json.loads(self.get("manifest.json"))

    @property
    def location(self):
        return f"s3://{BUCKET}/{self.prefix}"

    def get(self, name):
        return self.s3.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")["Body"].read()

    def put(self, name, body):
        self.s3.put_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}", Body=body)
        if name in self.manifest["files"]:
            self.manifest["files"][name] = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}

    def seal(self):
        """Write the manifest again. Return it."""
        data = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        self.put("manifest.json", data)
        return data


def trust(forged):
    """Allow connections without a password: in pg_hba.conf, in the list of files, and in the manifest."""
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(gzip.decompress(forged.get("base.tar.gz")))) as old,
        tarfile.open(fileobj=changed, mode="w") as new,
    ):
        for one in old:
            body = old.extractfile(one).read() if one.isfile() else b""
            if one.name.endswith("pg_hba.conf"):
                hba = body = b"host all all 0.0.0.0/0 trust\n" + body
                one.size = len(body)
            new.addfile(one, io.BytesIO(body))
    listed = json.loads(forged.get("backup_manifest"))
    entry = next(one for one in listed["Files"] if one.get("Path") == "pg_hba.conf")
    entry.update(Size=len(hba), Checksum=hashlib.sha256(hba).hexdigest())
    listed.pop("Manifest-Checksum")
    head = json.dumps(listed)[:-1].encode() + b",\n"
    forged.put("backup_manifest", head + f'"Manifest-Checksum": "{hashlib.sha256(head).hexdigest()}"}}\n'.encode())
    forged.put("base.tar.gz", gzip.compress(changed.getvalue(), 1))


def role(forged):
    lines = forged.get("globals.sql").decode().splitlines(keepends=True)
    assert any(ROLE in line for line in lines)
    forged.put("globals.sql", "".join(line for line in lines if ROLE not in line).encode())
    forged.manifest["roles"].remove(ROLE)


def sequences(forged):
    assert forged.manifest["sequences"]
    forged.manifest["sequences"] = []


def version(forged):
    forged.manifest["server_version"] = "12.1"
    forged.manifest["server_version_num"] = 120001


FORGERIES = {
    "trust": ("postgres.base_backup", trust),
    "role": ("postgres.dump", role),
    "sequences": ("postgres.dump", sequences),
    "version": ("postgres.dump", version),
}


def removed(forged, data, thief):
    forged.s3.delete_object(Bucket=BUCKET, Key=f"{forged.prefix}/manifest.json.sig")


def another(forged, data, thief):
    forged.put("manifest.json.sig", keys.sign(data, thief))


SIGNATURES = {
    "left": (lambda *given: None, "the signature of the manifest does not match"),
    "removed": (removed, "the manifest is not signed"),
    "another": (another, "an unknown key"),
}
PROOF = {"postgres.dump": "postgres.backup_intact", "postgres.base_backup": "postgres.base_intact"}
RESTORE = {"postgres.dump": "postgres.restore", "postgres.base_backup": "postgres.recover"}


@pytest.fixture
def target(place):
    made = place.place("target")
    yield made
    place.clusters.pop("target").destroy()
    shutil.rmtree(made.data.parent)


def forged(bench, taken, forgery):
    kind, change = FORGERIES[forgery]
    made = Forged(bench, taken[kind])
    change(made)
    return kind, made, made.seal()


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_backup_that_was_changed_and_sealed_anew_passes_nothing(bench, taken, target, tmp_path, forgery, signature):
    """A backup that the drill names only by its place is not verified, not restored, and not compared with anything."""
    kind, made, data = forged(bench, taken, forgery)
    sign, why = SIGNATURES[signature]
    sign(made, data, throw_away_key(tmp_path))
    wanted = f"#sha256={hashlib.sha256(data).hexdigest()} has no trusted signature"
    looked = bench.run(f"verify:\n  - {PROOF[kind]}: {{service: primary, from: '{made.location}'}}\n")
    assert (looked.verdict, looked.exit, looked.steps[0].status) == ("inconclusive", 3, "unverified")
    assert wanted in bench.said
    assert why in bench.said
    compared = (
        ""
        if kind == "postgres.base_backup"
        else (f"verify:\n  - postgres.matches: {{service: primary, manifest: '{made.location}/manifest.json'}}\n")
    )
    if compared:
        seen = bench.run(compared)
        assert (seen.verdict, seen.exit, seen.steps[0].status) == ("inconclusive", 3, "unverified")
        assert wanted in bench.said
        assert why in bench.said
    result = bench.run(
        f"restore:\n  - {RESTORE[kind]}: {{service: target, from: '{made.location}'}}\n"
        + (compared or "verify:\n  - postgres.healthy: {service: target}\n")
    )
    assert (result.verdict, result.exit) == ("failed", 1)
    assert result.steps[0].status == "unverified"
    assert wanted in bench.said
    assert why in bench.said
    assert not target.data.exists(), "nothing of it was restored"


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_but_the_signature_tells(bench, taken, target, forgery):
    """Its digests match: a drill that names the backup by its digest verifies, restores and compares it."""
    kind, made, data = forged(bench, taken, forgery)
    pin = f"#sha256={hashlib.sha256(data).hexdigest()}"
    compare = f"  - postgres.matches: {{service: target, manifest: '{made.location}/manifest.json{pin}'}}\n"
    result = bench.run(f"verify:\n  - {PROOF[kind]}: {{service: primary, from: '{made.location}{pin}'}}\n")
    assert result.verdict == "passed", (result.reason, bench.said)
    result = bench.run(
        f"restore:\n  - {RESTORE[kind]}: {{service: target, from: '{made.location}{pin}'}}\n"
        "verify:\n  - postgres.healthy: {service: target}\n" + (compare if kind == "postgres.dump" else "")
    )
    assert result.verdict == "passed", (result.reason, bench.said)
