"""Timestamps of anchors by a real time-stamp authority."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import shutil
import subprocess
import threading

import pytest

from drillbook.attestation import anchor_places, timestamps
from tests.attestation.conducting import conducted
from tests.attestation.test_auditor import PAGE
from tests.attestation.test_sign_runs import SAMPLE
from tests.audit.test_assurance import verified
from tests.needs import need


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
    page = (bench.root / "audit" / "audit.md").read_text()
    assert "1 of 4 anchors of this period has a timestamp of an authority" in page
    assert "this was not checked" not in page
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
