"""Attestations: every run is signed with a key that is created once.

Problems with the key never change the result of a run.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.attestation import run_verification, sign_runs, trusted_content
from drillbook.attestation.sign_runs import Sealer
from drillbook.cli import recover, render
from drillbook.cli.orchestration import Orchestrator
from drillbook.errors import JournalError
from drillbook.journal.journal import Journal, alive
from drillbook.journal.own_writes import Written
from drillbook.journal.run_state import RunState, RunStates
from drillbook.plan import spec
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.report import formats
from drillbook.signing import keys
from tests.attestation.forging import rechained
from tests.contents import content
from tests.engine.test_runner import Bench
from tests.needs import need
from tests.program import Folder, step

needs_keygen = pytest.mark.usefixtures("keygen")

SAMPLE = "restore:\n  - command.run: {argv: [echo, said], keep: true, effect: read}\n    hosts: controller\n" + step(
    ["true"]
)


@pytest.fixture
def keygen():
    return need("ssh-keygen")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Separate project with its own folder and key."""
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
    """Result of `report.verify`: its exit status and its output."""
    found = run_verification.verify(run, run.parent.parent, RunStates())
    return run_verification.EXIT[found.mark], "\n".join(f"{one.mark.name} {one.what}: {one.said}" for one in found.checks)


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
        done = subprocess.run(
            [
                "ssh-keygen",
                "-Y",
                "verify",
                "-f",
                allowed,
                "-I",
                "ann@example.com",
                "-n",
                "drillbook-attestation",
                "-s",
                run / "attestation.json.sig",
            ],
            stdin=text,
            capture_output=True,
            text=True,
            check=False,
        )
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
    orchestrator = Orchestrator(Project(bench.root), bench.inventory, lambda event: None)
    suite = spec.load(bench.root / "drills" / "all.yml")
    folder, _ = orchestrator.run_suite(suite, orchestrator.plans(suite), lambda view: None)
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


KEYS = {
    "passphrase": (locked, "cannot be used"),
    "garbled": (garbled, "cannot be read"),
    "missing": (lambda path: None, "does not exist"),
}


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
    assert "UNKNOWN signature: the signature could not be checked: ssh-keygen is not installed" in said


@needs_keygen
def test_rendering_again_changes_nothing_when_nothing_changed(bench):
    run = ran(bench)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert render.report(Project(bench.root), run.name) == 0
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
@pytest.mark.parametrize(
    "tamper",
    [
        cut,
        other_evidence,
        reworded,
        lambda run: (run / "attestation.json.sig").unlink(),
        lambda run: (run / "attestation.json").unlink(),
    ],
)
def test_what_was_tampered_with_is_not_signed_again(bench, tamper):
    run = ran(bench)
    tamper(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(JournalError, match="is not rendered"):
        render.report(Project(bench.root), run.name)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@needs_keygen
def test_what_is_rendered_anew_is_signed_anew_and_remembers_what_was_before(bench, monkeypatch):
    run = ran(bench)
    before = attestation(run)
    (run / "report.md").write_text("changed by hand\n")
    assert checked(run)[0] == 1
    render.report(Project(bench.root), "sample")
    assert attestation(run) == before, "the same report is covered by the same signature"
    newer = formats.Format("report.html", lambda view: "<!DOCTYPE html>as a newer version writes it", None)
    monkeypatch.setattr(formats, "FORMATS", tuple(newer if one.file == newer.file else one for one in formats.FORMATS))
    render.report(Project(bench.root), "latest")
    found = attestation(run)
    assert found["previous_attestation"]["head"] == before["head"]
    assert found["occasion"] == "report"
    assert checked(run)[0] == 0, "the end of the run itself was signed"


@needs_keygen
def test_a_file_that_was_added_by_hand_is_not_signed_by_a_new_rendering(bench):
    run = ran(bench)
    before = attestation(run)
    (run / "evidence" / "note").write_text("kept by hand")
    for _ in range(2):
        status, said = checked(run)
        assert status == 3
        assert "UNKNOWN files: not attested, added later: evidence/note" in said
        render.report(Project(bench.root), "latest")
    assert attestation(run) == before


@needs_keygen
def test_a_run_that_nobody_vouches_for_is_rendered_and_never_signed(bench, capsys):
    run = ran(bench)
    for name in ("attestation.json", "attestation.json.sig"):
        (run / name).unlink()
    render.report(Project(bench.root), "")
    assert "not signed again: there is no attestation.json: this run has no trusted signature" in " ".join(
        capsys.readouterr().out.split()
    )
    assert not (run / "attestation.json").exists()
    status, said = checked(run)
    assert status == 3
    assert "this run has no trusted signature" in said


@needs_keygen
def test_who_vouches_for_a_key(bench, tmp_path, monkeypatch):
    run = ran(bench)
    public = attestation(run)["key"]["public"]
    (bench.root / "inventory").mkdir()
    allowed = bench.root / "inventory" / "allowed_signers"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another-machine"))
    status, said = checked(run)
    assert status == 3
    assert f"an unknown key: {keys.fingerprint(public)}" in said
    allowed.write_text(f'ann namespaces="drillbook-approval" {public}\n')
    assert checked(run)[0] == 3, "whoever may approve does not thereby attest"
    allowed.write_text(f'ann namespaces="drillbook-attestation" {public}\n')
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
    code = "import sys; from pathlib import Path; from drillbook.signing import keys; print(keys.ready_key(Path('/'))[1])"
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
    told = sign_runs.checkpoint(tmp_path / "gone", Written(), Sealer(tmp_path, "ann"), {}, "")
    assert told.startswith("the attestation cannot be made, because a file cannot be read or written: ")


INJECT = (
    "inject:\n  - command.run: {argv: [touch, DIR/broken], effect: fault, undo: [rm, -f, DIR/broken], proof: "
    "[test, -e, DIR/broken]}\n    hosts: controller\n"
)


def killed(tmp_path, text, *, after):
    """Folder of a run whose controller was killed right after the first event of kind ``after``."""
    folder = Folder(tmp_path)
    folder.write(text)
    with folder.start("drill", "sample", "--json", stdout=subprocess.PIPE, text=True) as program:
        assert any(after(json.loads(line)) for line in program.stdout)
        program.kill()
    run = Project(tmp_path).run()
    while alive(run):  # a command that the controller was starting keeps the journal open until it has begun
        time.sleep(0.05)
    return run


@needs_keygen
def test_a_killed_run_is_vouched_for_up_to_where_it_signed_itself(tmp_path, capsys):
    run = killed(
        tmp_path,
        INJECT + "restore:\n" + step(["sleep", "300"]),
        after=lambda event: event.get("step") == "restore.1" and event["kind"] == "step.started",
    )
    found = attestation(run)
    assert (found["occasion"], found["verdict"]) == ("inject", None)
    kinds = [json.loads(line)["kind"] for line in (run / "journal.jsonl").read_bytes().splitlines()]
    assert 0 < found["events"] <= kinds.index("intent"), "what the run was about to break is signed before"
    status, said = checked(run)
    assert status == 3
    assert "GOOD signature: signed with this machine's own key" in said
    assert f"UNKNOWN end: the run signed its journal up to line {found['events']} while the run was in progress" in said
    assert render.report(Project(tmp_path), run.name) == 0
    assert attestation(run) == found, "nobody vouches for what stands behind it"
    shown, events = " ".join(capsys.readouterr().out.split()), len(kinds) - found["events"]
    assert events > 1
    assert (
        f"! the controller of this run died before it signed the last {events} events (from line {found['events'] + 1} on), so "
        f"they stay unsigned; see drillbook report.verify {run.name}"
    ) in shown
    assert "not signed again" not in shown, "that would sound like a change by hand"

    assert recover.recover(Project(tmp_path), "sample") == 0
    after = attestation(run)
    first = [json.loads(line)["kind"] for line in (run / "journal.jsonl").read_bytes().splitlines()].index(
        "recovery.started"
    )
    assert (after["occasion"], after["unvouched"]) == ("recovery", [[found["events"], first - 1]])
    assert (after["previous_attestation"]["signed"], after["previous_attestation"]["sealed_at_end"]) == (True, False)
    report = (run / "report.md").read_text()
    assert f"the controller of the run died before it signed the last lines that it wrote, up to line {first} of" in report
    for _ in range(2):
        status, said = checked(run)
        assert status == 3
        assert "WRONG" not in said
        assert (
            f"UNKNOWN vouched: the lines {found['events'] + 1} to {first} of the journal have no trusted signature" in said
        )
        render.report(Project(tmp_path), run.name)


@needs_keygen
def test_only_events_that_a_dead_controller_left_are_called_so(tmp_path):
    run = killed(
        tmp_path,
        INJECT + "restore:\n" + step(["sleep", "300"]),
        after=lambda event: event.get("step") == "restore.1" and event["kind"] == "step.started",
    )
    before = trusted_content.of_run(RunState(run), tmp_path)
    assert trusted_content.died_before_it_signed(RunState(run), before)
    ended = replace(before, sealed={**before.sealed, "occasion": "run"})
    assert not trusted_content.died_before_it_signed(RunState(run), ended), "the run itself signed its end"
    other = replace(before, unvouched="another reason")
    assert not trusted_content.died_before_it_signed(RunState(run), other)
    journal = Journal.resume(run, Redactor([]), origin=time.monotonic())
    assert not trusted_content.died_before_it_signed(RunState(run), before), "a process continues it"
    journal.append(content("run.finished", {"residue": [], "unwritten": ""}))
    journal.close()
    later = trusted_content.of_run(RunState(run), tmp_path)
    assert later.unvouched
    assert not trusted_content.died_before_it_signed(RunState(run), later), "it has an end, which nobody signed"


@needs_keygen
def test_a_recovery_names_what_nobody_vouches_for(tmp_path):
    """A recovery does not sign lines of a dead run that were rewritten before it."""
    run = killed(
        tmp_path,
        INJECT + "restore:\n" + step(["sleep", "300"]),
        after=lambda event: event.get("step") == "restore.1" and event["kind"] == "step.started",
    )
    signed = attestation(run)["events"]
    lines = (run / "journal.jsonl").read_bytes().splitlines()
    (run / "journal.jsonl").write_bytes(
        rechained(lines, signed, lambda event: event.update(at="2026-01-01T00:00:00.000000Z"))
    )
    (run / "evidence").mkdir(exist_ok=True)
    (run / "evidence" / "planted").write_text("planted")
    assert recover.recover(Project(tmp_path), "sample") == 0
    assert attestation(run)["unvouched"][0] == [signed, len(lines) - 1]
    assert attestation(run)["unvouched_files"] == ["evidence/planted"]
    assert "files that a recovery found have no trusted signature: evidence/planted" in checked(run)[1]
    (run / "journal.jsonl").write_bytes(
        rechained(lines, signed - 1, lambda event: event.update(at="2026-01-01T00:00:00.000000Z"))
    )
    assert checked(run)[0] == 1, "what the run signed itself cannot be written anew"


@needs_keygen
def test_a_journal_that_was_changed_while_its_run_went_on_is_not_signed(bench):
    """The journal is rewritten after the last event of the run and before its signature."""

    def forge(event):
        if event.kind == "run.finished":
            path = next((bench.root / "reports").glob("[!.]*/journal.jsonl"))
            lines = path.read_bytes().splitlines()
            path.write_bytes(rechained(lines, 1, lambda old: old.update(at="2026-01-01T00:00:00.000000Z")))

    bench.run(SAMPLE, observer=forge)
    assert attestation(bench.folder)["occasion"] == "begin"
    assert checked(bench.folder)[0] != 0


@needs_keygen
def test_attestations_of_older_versions_are_verified_as_before(tmp_path):
    """A run, a recovered run, and a suite, signed by an older version without checkpoints."""
    old = Path(shutil.copytree(Path(__file__).parents[1] / "golden" / "attested", tmp_path / "attested"))
    for run in sorted((old / "reports").iterdir()):
        found = run_verification.verify(run, old, RunStates())
        for part in (found, *found.inner):
            marks = {one.what: one.mark.name for one in part.checks}
            assert set(marks.values()) == {"GOOD"}, part
            assert marks["signature"] == "GOOD"
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    assert all(path.read_bytes() == data for path, data in before.items())
    (old / "drills").mkdir()
    for run in sorted((old / "reports").iterdir()):
        render.report(Project(old), run.name)
        assert run_verification.verify(run, old, RunStates()).mark is not run_verification.Mark.WRONG
