"""Attestations: every run is signed with a key that is made once, and no trouble with a key changes what a run showed."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook import desk, spec, verifying
from drillbook.attesting import keys, statement
from drillbook.conduct import Conductor
from drillbook.errors import JournalError
from drillbook.project import Project
from tests.needs import need
from tests.program import step
from tests.test_runner import Bench

needs_keygen = pytest.mark.usefixtures("keygen")

SAMPLE = "restore:\n  - command.run: {argv: [echo, said], keep: true, effect: read}\n    hosts: controller\n" + step(["true"])


@pytest.fixture
def keygen():
    return need("ssh-keygen")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A project of its own, in a folder of its own, with a key of its own."""
    monkeypatch.delenv("DRILLBOOK_SIGNING_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project").mkdir()
    return Bench(tmp_path / "project")


def ran(bench):
    view = bench.run(SAMPLE)
    assert view.result.verdict == "passed", view.result.reason
    return bench.folder


def attestation(run):
    return json.loads((run / "attestation.json").read_text())


def checked(run):
    """What verifying finds: its exit status, and all that it says."""
    found = verifying.verify(run, run.parent.parent)
    return verifying.EXIT[found.mark], "\n".join(f"{one.mark.name} {one.what}: {one.said}" for one in found.checks)


@needs_keygen
def test_every_file_of_a_run_is_named_and_the_whole_is_signed(bench, tmp_path):
    run = ran(bench)
    found = attestation(run)
    assert (found["schema"], found["run"], found["drill"]) == ("drillbook/attestation/1", run.name, "sample")
    assert (found["verdict"], found["exit"], found["environment"]) == ("passed", 0, "lab")
    lines = (run / "journal.jsonl").read_bytes().splitlines()
    assert (found["events"], found["head"]) == (len(lines), json.loads(lines[-1])["hash"])
    assert found["plan_digest"] == json.loads(lines[0])["data"]["plan_digest"]
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert set(found["files"]) == files - {"attestation.json", "attestation.json.sig"}
    assert any(name.startswith("evidence/") for name in files)
    for name, known in found["files"].items():
        assert known["sha256"] == "sha256:" + hashlib.sha256((run / name).read_bytes()).hexdigest()
    key = tmp_path / "config" / "drillbook" / "signing_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((run / "attestation.json").stat().st_mode) == 0o600
    assert checked(run)[0] == 0, checked(run)[1]


@needs_keygen
def test_anybody_can_check_it_without_drillbook(bench, tmp_path):
    run = ran(bench)
    key = attestation(run)["key"]
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ann@example.com {key['public']}\n")
    with (run / "attestation.json").open("rb") as text:
        done = subprocess.run(["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "ann@example.com", "-n",
                               "drillbook-attestation", "-s", run / "attestation.json.sig"], stdin=text,
                              capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert key["fingerprint"] in done.stdout


@needs_keygen
def test_the_next_run_uses_the_same_key_and_names_the_run_before(bench):
    before, found = attestation(ran(bench)), attestation(ran(bench))
    assert found["key"] == before["key"]
    assert found["previous_head"] == before["head"]


@needs_keygen
def test_a_suite_holds_the_digests_of_what_its_drills_attested(bench):
    ran(bench)
    (bench.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    conductor = Conductor(Project(bench.root), bench.inventory, lambda event: None)
    suite = spec.load(bench.root / "drills" / "all.yml")
    folder, _ = conductor.run_suite(suite, conductor.plans(suite), lambda view: None)
    [run] = attestation(folder)["runs"]
    inner = folder / run["folder"] / "attestation.json"
    assert run["attestation"] == "sha256:" + hashlib.sha256(inner.read_bytes()).hexdigest()
    assert set(attestation(folder)["files"]) == {"result.json", "report.html", "report.md", "junit.xml"}
    assert checked(folder)[0] == 0, checked(folder)[1]
    inner.write_text(inner.read_text().replace('"exit": 0', '"exit": 1'))
    assert checked(folder)[0] == 1
    shutil.rmtree(inner.parent)
    assert "missing" in checked(folder)[1]


def locked(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", path], check=True)


def garbled(path):
    path.write_text("not a key\n")
    path.chmod(0o600)


KEYS = {"passphrase": (locked, "cannot be used"), "garbled": (garbled, "cannot be read"),
        "missing": (lambda path: None, "no key")}


@needs_keygen
@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_cannot_be_used_leaves_the_verdict(bench, tmp_path, monkeypatch, name):
    make, why = KEYS[name]
    make(tmp_path / "key")
    monkeypatch.setenv("DRILLBOOK_SIGNING_KEY", str(tmp_path / "key"))
    run = ran(bench)
    found = attestation(run)
    assert found["key"] is None
    assert why in found["unsigned"]
    assert not (run / "attestation.json.sig").exists()
    status, said = checked(run)
    assert status == 3
    assert "not signed" in said
    assert "WRONG" not in said


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Every program of this machine, except ssh-keygen."""
    made = tmp_path_factory.mktemp("bin")
    for place in os.environ["PATH"].split(":"):
        for path in Path(place).iterdir() if Path(place).is_dir() else ():
            link = made / path.name
            if path.name != "ssh-keygen" and not link.is_symlink():
                link.symlink_to(path)
    return made


@pytest.fixture
def no_keygen(programs, monkeypatch):
    return lambda: monkeypatch.setenv("PATH", str(programs))


def test_without_ssh_keygen_a_run_is_not_signed_and_not_verified(bench, no_keygen):
    no_keygen()
    run = ran(bench)
    assert attestation(run)["unsigned"] == "ssh-keygen is not installed"
    status, said = checked(run)
    assert status == 3
    assert "ssh-keygen is not installed" in said


@needs_keygen
def test_without_ssh_keygen_a_signature_is_not_verified(bench, no_keygen):
    run = ran(bench)
    no_keygen()
    status, said = checked(run)
    assert status == 3
    assert "UNKNOWN signature: it could not be checked: ssh-keygen is not installed" in said


@needs_keygen
def test_rendering_again_changes_nothing_when_nothing_changed(bench):
    run = ran(bench)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert desk.report(Project(bench.root), run.name) == 0
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def cut(run):
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:-1]))


def other_evidence(run):
    next((run / "evidence").iterdir()).write_text("something else")


def reworded(run):
    text = (run / "attestation.json").read_text()
    (run / "attestation.json").write_text(text.replace('"verdict": "passed"', '"verdict": "failed"'))


@needs_keygen
@pytest.mark.parametrize("tamper", [cut, other_evidence, reworded, lambda run: (run / "attestation.json.sig").unlink(),
                                    lambda run: (run / "attestation.json").unlink()])
def test_what_was_tampered_with_is_not_signed_again(bench, tamper):
    run = ran(bench)
    tamper(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(JournalError, match="is not rendered"):
        desk.report(Project(bench.root), run.name)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@needs_keygen
def test_what_is_rendered_anew_is_signed_anew_and_remembers_what_was_before(bench):
    run = ran(bench)
    before = attestation(run)
    (run / "report.md").write_text("changed by hand\n")
    assert checked(run)[0] == 1
    desk.report(Project(bench.root), "sample")
    assert attestation(run) == before, "the same report is covered by the same signature"
    (run / "evidence" / "note").write_text("kept by hand")
    assert "UNKNOWN files: not attested" in checked(run)[1]
    desk.report(Project(bench.root), "latest")
    found = attestation(run)
    assert found["previous_attestation"]["head"] == before["head"]
    assert found["occasion"] == "report"
    assert checked(run)[0] == 0, "the end of the run itself was signed"


@needs_keygen
def test_a_run_that_was_signed_only_later_says_so(bench):
    run = ran(bench)
    for name in ("attestation.json", "attestation.json.sig"):
        (run / name).unlink()
    desk.report(Project(bench.root), "")
    status, said = checked(run)
    assert status == 3
    assert "no signature was made when the run ended" in said


@needs_keygen
def test_who_vouches_for_a_key(bench, tmp_path, monkeypatch):
    run = ran(bench)
    public = attestation(run)["key"]["public"]
    (bench.root / "inventory").mkdir()
    allowed = bench.root / "inventory" / "allowed_signers"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another-machine"))
    status, said = checked(run)
    assert status == 3
    assert f"a key that nobody vouched for: {keys.fingerprint(public)}" in said
    allowed.write_text(f"ann namespaces=\"drillbook-approval\" {public}\n")
    assert checked(run)[0] == 3, "whoever may approve does not thereby attest"
    allowed.write_text(f"ann namespaces=\"drillbook-attestation\" {public}\n")
    status, said = checked(run)
    assert status == 0, said
    assert "signed by ann" in said
    _, other = keys.ready_key(bench.root)
    allowed.write_text(f"ann {other}\n")
    status, said = checked(run)
    assert status == 1
    assert "does not allow" in said


@needs_keygen
def test_two_processes_make_one_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    code = "import sys; from pathlib import Path; from drillbook.attesting import keys; print(keys.ready_key(Path('/'))[1])"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert sorted(path.name for path in (tmp_path / "drillbook").iterdir()) == ["signing_key", "signing_key.pub"]


@needs_keygen
def test_the_projects_own_key_comes_before_the_persons(tmp_path, monkeypatch):
    monkeypatch.delenv("DRILLBOOK_SIGNING_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert keys.chosen(tmp_path) == tmp_path / "config" / "drillbook" / "signing_key"
    (tmp_path / ".drillbook").mkdir()
    (tmp_path / ".drillbook" / "signing_key").write_text("")
    assert keys.chosen(tmp_path) == tmp_path / ".drillbook" / "signing_key"


def test_what_cannot_be_written_is_told_not_raised(tmp_path):
    assert "cannot be written" in statement._seal(tmp_path / "gone", {}, tmp_path, "ann", "run")
