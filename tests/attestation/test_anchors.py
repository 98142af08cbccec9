"""Anchors in a locked bucket, with timestamps, and in messages: a real store, a real time-stamp authority, a real listener."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import shutil
import subprocess
import threading
import time

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from drillbook.attestation import anchor_places, bucket, timestamps
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.views import tell_missed
from drillbook.errors import UsageError
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from tests.attestation.test_auditor import PAGE
from tests.attestation.test_sign_runs import SAMPLE
from tests.audit.test_assurance import verified
from tests.engine.test_runner import HOSTS
from tests.needs import need
from tests.notify.listener import listening
from tests.systems.postgres.site import KEY, SECRET_KEY, store

LOCKED, LOOSE = "anchors", "loose"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A store with a locked bucket and one without a lock."""
    with store(tmp_path_factory.mktemp("s3")) as service:
        client = boto3.client(
            "s3",
            endpoint_url=service.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )
        client.endpoint = service.endpoint
        until = time.monotonic() + 30
        while True:
            try:
                client.create_bucket(Bucket=LOCKED, ObjectLockEnabledForBucket=True)
                break
            except (BotoCoreError, ClientError):
                assert time.monotonic() < until
        client.create_bucket(Bucket=LOOSE)
        yield client


@pytest.fixture
def at(s3, monkeypatch, tmp_path):
    """Let anchors be stored in a folder of a bucket, with credentials from environment variables of boto3.

    Return the name of the place.
    """
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET_KEY), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)

    def at(name=LOCKED, options=""):
        monkeypatch.setenv(anchor_places.CHOICE, f"s3://{name}/{tmp_path.name}{options}")
        return f"s3://{name}/{tmp_path.name}"

    return at


def objects(s3, tmp_path, name=LOCKED):
    return [one["Key"] for one in s3.list_objects_v2(Bucket=name, Prefix=f"{tmp_path.name}/").get("Contents", ())]


def conducted(bench):
    """Run the drill of the bench once more. Return the orchestrator, which knows which anchors failed."""
    orchestrator = Orchestrator(Project(bench.root), bench.inventory, lambda event: None)
    orchestrator.run(planner.make(spec.load(bench.root / "drills" / "sample.yml"), bench.inventory))
    return orchestrator


def without_own(bench):
    """Delete the anchor in the state folder, as anybody with write access could."""
    anchor_places.default(bench.root / "reports").unlink()


def test_a_run_that_was_removed_with_its_own_anchor_is_missed_by_the_locked_one(bench, audit, at, s3, tmp_path):
    source = at()
    bench.run(SAMPLE)
    kept = objects(s3, tmp_path)
    assert [key.split("/")[1] for key in kept] == [bench.folder.name] * 2, "at its begin, and at its end"
    assert audit()[0] == verified(bench) == 0
    without_own(bench)
    shutil.rmtree(bench.folder)
    for key in kept:
        s3.delete_object(Bucket=LOCKED, Key=key)  # this only creates a marker
    assert objects(s3, tmp_path) == []
    status, said = audit()
    assert status == 3
    assert f"{bench.folder.name} is missing, although an anchor names it (of " in said
    assert f", in {source})" in said
    assert verified(bench) == 3


def test_a_newer_version_does_not_hide_what_was_written(bench, audit, at, s3, tmp_path):
    at()
    bench.run(SAMPLE)
    assert audit()[0] == 0
    for key in objects(s3, tmp_path):
        s3.put_object(Bucket=LOCKED, Key=key, Body=b"{}")
    s3.put_object(Bucket=LOCKED, Key=f"{tmp_path.name}/{bench.folder.name}/999999999-{'0' * 64}.json", Body=b"{}")
    without_own(bench)
    assert audit()[0] == 0, "the versions that were written are still there, and locked"
    shutil.rmtree(bench.folder)
    assert audit()[0] == 3


def test_the_lock_is_read_back_and_cannot_be_removed(bench, at, s3, tmp_path):
    at(options="?keep=3d")
    bench.run(SAMPLE)
    for one in s3.list_object_versions(Bucket=LOCKED, Prefix=f"{tmp_path.name}/")["Versions"]:
        kept = s3.get_object_retention(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])["Retention"]
        assert kept["Mode"] == "COMPLIANCE"
        assert 2.9 * 86400 < kept["RetainUntilDate"].timestamp() - time.time() <= 3 * 86400
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            s3.delete_object(Bucket=LOCKED, Key=one["Key"], VersionId=one["VersionId"])


def test_a_bucket_without_a_lock_is_told_after_the_run_and_by_the_audit(bench, audit, at, s3, tmp_path, capsys):
    source = at(LOOSE)
    tell_missed(conducted(bench).missed)
    assert f"the anchors in {source} cannot be written: InvalidRequest" in capsys.readouterr().err
    line = anchor_places.default(bench.root / "reports").read_bytes().splitlines(keepends=True)[-1]
    content = json.loads(line)
    key = f"{tmp_path.name}/{content['run']}/{content['events']:09d}-{bucket.hashlib.sha256(line).hexdigest()}.json"
    s3.put_object(Bucket=LOOSE, Key=key, Body=line)
    status, said = audit()
    assert (status, "has no lock in mode COMPLIANCE" in said) == (3, True)
    assert verified(bench) == 3


def test_a_store_that_does_not_answer_keeps_no_run_from_ending_and_is_never_taken_for_compared(
    bench, audit, at, monkeypatch
):
    source = at()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert bench.run(SAMPLE).result.exit == 0
    status, said = audit()
    assert status == 3
    assert f"the anchors in {source} cannot be read: EndpointConnectionError" in said
    assert verified(bench) == 3


@pytest.mark.parametrize(
    "text", ["s3://", "s3://UPPER/x", "s3://bucket/x?keep=soon", "s3://bucket/x?keep", "s3://bucket/x?lock=1d"]
)
def test_a_place_that_is_none_is_refused_before_anything_begins(bench, monkeypatch, text):
    monkeypatch.setenv(anchor_places.CHOICE, text)
    before = sorted((bench.root / "reports").iterdir())
    with pytest.raises(UsageError, match="anchor"):
        conducted(bench)
    assert sorted((bench.root / "reports").iterdir()) == before


@pytest.mark.parametrize("named", ["s3", "file"])
def test_the_named_place_alone_is_compared_with(bench, audit, at, tmp_path, named):
    source = at()
    bench.run(SAMPLE)
    if named == "file":
        source = str(anchor_places.default(bench.root / "reports"))
    assert audit(anchor=source)[0] == 0
    facts = json.loads((bench.root / "audit" / "audit.json").read_text())["anchors"]
    assert [one.partition(": ")[0] for one in facts] == [source]
    shutil.rmtree(bench.folder)
    assert audit(anchor=source)[0] == 3


class Authority(http.server.BaseHTTPRequestHandler):
    """A time-stamp authority over HTTP, as RFC 3161 section 3.4 has it; openssl does the work."""

    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"]))
        (self.server.folder / "query.tsq").write_bytes(query)
        subprocess.run(
            ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "answer.tsr"],
            cwd=self.server.folder,
            check=True,
            capture_output=True,
        )
        answer = (self.server.folder / "answer.tsr").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


CONFIG = """
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[stamps]
extendedKeyUsage = critical,timeStamping
basicConstraints = critical,CA:false
"""


def certified(folder):
    """Root certificate, and a certificate below it for timestamps."""
    folder.mkdir()
    (folder / "tsa.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    for argv in (
        (
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "30",
            "-subj",
            "/CN=root",
        ),
        ("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=stamps"),
        (
            "x509",
            "-req",
            "-in",
            "tsa.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            "tsa.pem",
            "-days",
            "30",
            "-extfile",
            "tsa.cnf",
            "-extensions",
            "stamps",
        ),
    ):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """Time-stamp authority, configured in DRILLBOOK_TIMESTAMP, and its root certificate."""
    need("openssl")
    server = http.server.HTTPServer(("127.0.0.1", 0), Authority)
    server.folder = certified(tmp_path / "tsa")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv(timestamps.CHOICE, f"http://127.0.0.1:{server.server_port}/")
    with contextlib.ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield server.folder


def untimed(said, reason):
    """Names of the runs that the audit lists with ``reason``: one run, or several in brackets."""
    told = re.findall(rf"Weak anchor: (?:\d+ runs \(([^)]*)\)|(\S+)): {re.escape(reason)}", " ".join(said.split()))
    return {name for many, one in told for name in (many.split(", ") if many else [one])}


def test_a_timestamp_vouches_for_the_time_of_an_anchor(bench, audit, authority, monkeypatch):
    bench.run(SAMPLE)
    monkeypatch.setenv(timestamps.ROOTS, str(authority / "ca.pem"))
    status, said = audit()
    assert status == 3
    assert untimed(said, "the anchor of the run has no timestamp") >= {bench.folders[0].name}
    assert verified(bench) == 0
    lines = [json.loads(line) for line in anchor_places.default(bench.root / "reports").read_bytes().splitlines()]
    assert [timestamps.FIELD in one for one in lines if one["run"] == bench.folder.name] == [False, True], (
        "none before the end"
    )


@pytest.mark.parametrize("change", ["back-dated", "another head", "of another run", "another authority", "cut"])
def test_a_timestamp_that_does_not_fit_is_told(bench, audit, authority, monkeypatch, tmp_path, change):
    bench.run(SAMPLE)
    first = json.loads(anchor_places.default(bench.root / "reports").read_bytes().splitlines()[-1])
    bench.run(SAMPLE)
    anchor = anchor_places.default(bench.root / "reports")
    lines = anchor.read_bytes().splitlines()
    last = json.loads(lines[-1])
    roots = authority / "ca.pem"
    if change == "back-dated":
        last["at"] = "2026-01-01T00:00:00Z"
    elif change == "another head":
        last["head"] = "sha256:" + "0" * 64
    elif change == "of another run":
        last[timestamps.FIELD] = first[timestamps.FIELD]
    elif change == "another authority":
        roots = certified(tmp_path / "another") / "ca.pem"
    else:
        last[timestamps.FIELD] = last[timestamps.FIELD][:400]
    anchor.write_bytes(b"\n".join([*lines[:-1], json.dumps(last).encode()]) + b"\n")
    monkeypatch.setenv(timestamps.ROOTS, str(roots))
    status, said = audit()
    assert status == 3
    assert bench.folder.name in untimed(said, "the timestamp of the run's anchor is not valid")
    assert verified(bench) != 0


@pytest.mark.parametrize("change", ["", "2026-01-01T00:00:00Z"])
def test_openssl_alone_checks_a_timestamp_by_the_page(bench, authority, tmp_path, change):
    script = re.search(r"with openssl\s+alone.*?```sh\n(.*?)```", PAGE.read_text(), re.S)[1]
    bench.run(SAMPLE)
    line = anchor_places.default(bench.root / "reports").read_text().splitlines()[-1]
    at = json.loads(line)["at"]
    (tmp_path / "line").write_text(line.replace(at, change or at) + "\n")
    shutil.copy(authority / "ca.pem", tmp_path / "ROOTS")
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ("Verification: OK" in done.stdout + done.stderr) is not bool(change), done.stderr
    assert "Time stamp: " in done.stdout


def test_an_anchor_that_was_stamped_long_after_its_time_is_told(bench, authority, monkeypatch):
    """The holder of the key backdates a run to January; the time-stamp authority still certifies today."""
    content = {"schema": "drillbook/anchor/1", "run": "x", "at": "2026-01-01T00:00:00Z"}
    content[timestamps.FIELD] = timestamps.ask(timestamps.authority(), timestamps.canonical(content))
    assert "but its timestamp" in timestamps.Checker(authority / "ca.pem").doubt(content)


def test_an_authority_that_does_not_answer_is_told_and_keeps_nothing_from_being_signed(bench, audit, monkeypatch):
    monkeypatch.setenv(timestamps.CHOICE, "http://127.0.0.1:9/")
    orchestrator = conducted(bench)
    assert ["no timestamp from http://127.0.0.1:9/" in one for one in orchestrator.missed] == [True]
    assert audit()[0] == 0


def test_what_contacts_were_told_is_an_anchor(bench, audit, tmp_path, monkeypatch):
    with listening() as server:
        monkeypatch.setenv("WAY", f"json://127.0.0.1:{server.server_port}")
        contact = "contacts:\n  oncall: {role: DBA, notify: [!env WAY]}\n"
        (bench.root / "hosts.yml").write_text(HOSTS.replace("SCRATCH", str(bench.root / "scratch")) + contact)
        bench.inventory = inventory.load(bench.root / "hosts.yml")
        bench.run(SAMPLE)
        messages = [one["message"] for one in server.wait(2)]
    archive = tmp_path / "messages.txt"
    archive.write_text("\n".join(f"> {line}" for text in messages for line in text.splitlines()))
    assert audit(anchor=str(archive))[0] == 0
    shutil.rmtree(bench.folder)
    status, said = audit(anchor=str(archive))
    assert (status, f"{bench.folder.name} is missing" in said) == (3, True)
