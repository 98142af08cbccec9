"""Closing residue: proofs run on real hosts, real keys approve, and every report shows the closure."""

import contextlib
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.cli import access, run_identity
from drillbook.cli.program import program
from drillbook.cli.recover import recovered
from drillbook.engine.leases import Lease
from drillbook.engine.recovery import Recovery, in_the_way
from drillbook.inventory import inventory
from drillbook.journal import journal as journal_module
from drillbook.journal.journal import FILE, Journal, read
from drillbook.journal.run_state import needs_recovery
from drillbook.plan import closure_approval, planner, spec
from drillbook.project.project import Project
from drillbook.redact import Redactor
from drillbook.sdk.host import Deadline
from tests.contents import content
from tests.needs import need
from tests.program import VERIFY, here
from tests.report import samples

REASON = "host decommissioned, ticket 4711"
DRILL = (
    """\
drill: sample
title: Permissions are wrong
service: app
inject:
  - files.chmod: {path: DIR/file, mode: "0400"}
    hosts: HOST
"""
    + VERIFY
)


class Desk:
    """Project in which Olga runs drills and Alice may approve; runs with residue are written as journals."""

    def __init__(self, root, monkeypatch):
        self.root, self.number, self.monkeypatch = root, 0, monkeypatch
        self.file = root / "file"
        self.file.write_text("content")
        self.file.chmod(0o400)
        (root / "drills").mkdir()
        (root / "inventory").mkdir()
        (root / "inventory" / "lab.yml").write_text(
            f"environment: lab\napprovers: approvers\nhosts: {{{here(root)}, away: {{address: 127.0.0.1, port: 1}}}}\n"
            "services: {app: {kind: process, host: controller}}\n"
        )
        self.signs("alice", "alice@example.com")
        self.becomes("olga")

    def becomes(self, name):
        self.monkeypatch.setenv("DRILLBOOK_OPERATOR", name)

    def signs(self, name, principal):
        """Person with approval rights and a separate key."""
        need("ssh-keygen")
        key = self.root / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        words = key.with_suffix(".pub").read_text().split()
        with (self.root / "inventory" / "approvers").open("a") as file:
            file.write(f'{principal} namespaces="drillbook-approval" {words[0]} {words[1]}\n')

    def drill(self, host="controller", name="sample"):
        path = self.root / "drills" / f"{name}.yml"
        path.write_text(
            DRILL.replace("drill: sample", f"drill: {name}").replace("DIR", str(self.root)).replace("HOST", host)
        )
        return planner.make(spec.load(path), inventory.load(self.root / "inventory" / "lab.yml"))

    def left(self, host="controller", undo=("false",)):
        """Run whose controller died right after its fault. ``undo``: command that undoes it, or that fails."""
        made = self.drill(host)
        self.number += 1
        folder = Project(self.root).ready_reports() / f"20261127T10000{self.number}.000Z-sample-000{self.number}"
        folder.mkdir(mode=0o700)
        journal = Journal(folder, Redactor([]), origin=time.monotonic())
        journal.append(
            content(
                "run.started",
                {
                    "run": folder.name,
                    "plan": made.model_dump(mode="json"),
                    "plan_digest": made.digest,
                    **run_identity.header("olga@ops"),
                    "approval": None,
                },
            )
        )
        params = {"path": str(self.file), "mode": "0400"}
        journal.append(
            content(
                "step.started", {"action": "files.chmod", "phase": "inject", "name": "", "effect": "fault", "params": params}
            ),
            step="inject.1",
            host=host,
        )
        journal.append(
            content(
                "intent",
                {
                    "action": "files.chmod",
                    "params": params,
                    "effect": "fault",
                    "undo": {"kind": "commands", "commands": [[*undo]], "action": "", "params": {}, "why": ""},
                },
            ),
            step="inject.1",
            host=host,
        )
        journal.append(content("done", {"facts": {}, "seconds": 0.1, "attempts": 1}), step="inject.1", host=host)
        journal.close()
        return folder

    def invoke(self, *argv):
        """Exit status and output of a task, as one line."""
        said = self.capsys
        said.readouterr()
        with contextlib.chdir(self.root):
            try:
                program().run(["drillbook", *argv])
                status = 0
            except SystemExit as ended:
                status = ended.code
        told = said.readouterr()
        return status, " ".join((told.out + told.err).split())

    def close(self, folder, reason=REASON):
        return self.invoke("drill.recover", folder.name, "--settled", "--reason", reason)

    def approve(self, folder, who="alice", reason=REASON):
        self.becomes(who)
        try:
            return self.invoke("drill.approve", folder.name, "--reason", reason, "--key", str(self.root / who))
        finally:
            self.becomes("olga")

    def blocks(self, folder):
        project = Project(self.root)
        return [
            one.title for one in in_the_way(self.drill("controller", "other"), project.runs()) if folder.name in one.title
        ]

    def result(self, folder):
        return json.loads((folder / "result.json").read_text())


@pytest.fixture
def desk(tmp_path, monkeypatch, capsys):
    made = Desk(tmp_path, monkeypatch)
    made.capsys = capsys
    return made


def kinds(folder):
    return [event.kind for event in read(folder / FILE).events]


def test_a_change_that_is_still_there_is_not_closed(desk):
    folder = desk.left()
    status, said = desk.close(folder)
    assert status == 4
    assert "the residue is not closed residue-active: A change that the run made is still active" in said
    assert "step inject.1 on controller" in said
    assert "settlement.refused" in kinds(folder)
    assert needs_recovery(read(folder / FILE))
    assert desk.blocks(folder)
    assert desk.result(folder)["settled"] is None
    desk.approve(folder)
    assert desk.close(folder)[0] == 4, "no approval closes what is proven to be there"


def test_what_is_proven_gone_is_closed_and_told_everywhere(desk):
    folder = desk.left()
    assert desk.invoke("drill.recover", folder.name)[0] == 5, "its undo does not work"
    assert desk.blocks(folder)
    assert desk.invoke("drill", "other")[0] == 4
    desk.file.chmod(0o644)
    status, said = desk.close(folder, "put back by hand")
    assert status == 0, said
    assert "stays aborted with residue, closed (exit 5)" in " ".join(said.split())
    end = " ".join(said.split()).rpartition("✓ ")[2]
    assert end == "closed: the journal records why 1 change of the run needs no undo; exit 0"
    assert "NOT UNDONE" not in said
    assert "– residue, closed: files.chmod (inject) on " in said
    assert "drill.recover" not in said, "there is nothing more to do"
    result = desk.result(folder)
    assert (result["exit"], result["verdict"]) == (5, "aborted"), "what the run showed does not change"
    assert [one["step"] for one in result["residue"]] == ["inject.1"]
    closed = result["settled"]
    assert (closed["by"].partition("@")[0], closed["reason"], closed["approval"]) == ("olga", "put back by hand", None)
    assert [(one["step"], one["proof"]) for one in closed["changes"]] == [("inject.1", "gone")]
    assert not desk.blocks(folder)
    assert desk.invoke("drill", "other")[0] == 0, "drills on its hosts run again"
    size = (folder / FILE).stat().st_size
    assert desk.invoke("drill.recover", folder.name)[0] == 0
    assert desk.invoke("drill.recover")[1] == "nothing to recover: every run has ended, and all changes are undone or closed"
    assert (folder / FILE).stat().st_size == size, "a closed run is not tried again"
    for page in ("report.html", "report.md", "junit.xml", "../index.html"):
        assert "olga" in (folder / page).read_text()
        assert "put back by hand" in (folder / page).read_text() or page == "../index.html"
    assert "aborted + residue, closed" in desk.invoke("report.list")[1]
    assert folder.name not in desk.invoke("drill.list")[1]
    status, said = desk.invoke("audit", "--since", "2026-01-01", "--until", "2027-12-31", "--out", str(desk.root / "audit"))
    assert "1 of them was closed by a named person" in said
    for page in ("audit.html", "audit.md", "audit.json"):
        assert "put back by hand" in (desk.root / "audit" / page).read_text()


def test_the_journal_is_not_read_again_while_its_run_is_being_closed(desk, monkeypatch):
    """The recovery reads and verifies it once, under its lock; what is written afterwards is known."""
    folder, reads, seen = desk.left(), [], []

    def counted(path, real=journal_module.salvage):
        reads.append(path)
        return real(path)

    def noted(method):
        def call(*args):
            seen.append(len(reads))
            return method(*args)

        return call

    monkeypatch.setattr(journal_module, "salvage", counted)
    for name in ("begin", "close"):
        monkeypatch.setattr(Recovery, name, noted(getattr(Recovery, name)))
    desk.file.chmod(0o644)
    assert desk.close(folder)[0] == 0
    first, last = seen
    assert first == last > 0


def test_a_run_that_passed_does_not_contradict_itself_before_and_after_its_residue_is_closed(desk):
    """The undo of the fault names a file that does not exist."""
    desk.drill()
    away, fault = desk.root / "away", f"argv: [mv, {desk.file}, {desk.root}/away], effect: fault"
    (desk.root / "drills" / "sample.yml").write_text(
        "drill: sample\ntitle: A file is moved away\nservice: app\ninject:\n"
        f"  - command.run: {{{fault}, undo: [mv, {away}-typo, {desk.file}], proof: [test, -e, {away}]}}\n"
        f"    hosts: controller\n{VERIFY}"
    )
    status, said = desk.invoke("drill", "sample")
    assert (status, "PASSED WITH RESIDUE" in said) == (5, True), said
    (folder,) = Project(desk.root).runs()
    pages = [(folder / page).read_text() for page in ("report.html", "report.md")]
    away.rename(desk.file)
    status, closed = desk.close(folder, "put back by hand")
    assert (status, "stays passed with residue, closed" in closed) == (0, True), closed
    assert desk.result(folder)["verdict"] == "passed"
    pages += [(folder / page).read_text() for page in ("report.html", "report.md")]
    for text in (said, closed, *pages):
        assert "contradicts itself" not in text


def test_the_attestation_is_made_anew_and_verified(desk):
    folder = desk.left()
    assert desk.invoke("drill.recover", folder.name)[0] == 5
    desk.file.chmod(0o644)
    assert desk.close(folder)[0] == 0
    attestation = json.loads((folder / "attestation.json").read_text())
    assert (attestation["occasion"], attestation["exit"]) == ("settlement", 5)
    assert attestation["attested_by"].startswith("olga")
    _, said = desk.invoke("report.verify", folder.name)
    assert "✕" not in said
    assert "rendering them again gives exactly the same bytes" in said
    lines = (folder / FILE).read_bytes().replace(REASON.encode(), b"another reason")
    (folder / FILE).write_bytes(lines)
    assert desk.invoke("report.verify", folder.name)[0] == 1


def test_what_nobody_can_tell_needs_a_second_person(desk):
    folder = desk.left("away")
    status, said = desk.close(folder)
    assert status == 4
    assert "residue-unknown: It is not known whether a change that the run made is still active: files.chmod on away" in said
    assert f"`invoke drill.approve {folder.name} --reason '{REASON}'`" in said
    assert desk.blocks(folder)
    status, said = desk.approve(folder)
    assert status == 0, said
    assert "files.chmod on away (step inject.1): unknown" in said, "the approver sees what is known"
    assert desk.close(folder, "another reason")[0] == 4
    assert "approval-changed" in desk.close(folder)[1], "the attempt before has made the journal longer"
    assert desk.approve(folder)[0] == 0
    status, said = desk.close(folder)
    assert status == 0, said
    closed = desk.result(folder)["settled"]
    assert closed["approval"]["principal"] == "alice@example.com"
    assert closed["approval"]["key"].startswith("SHA256:")
    assert [(one["host"], one["proof"]) for one in closed["changes"]] == [("away", "unknown"), ("away", "unknown")]
    assert closed["kept"], "what is armed there could not be withdrawn, and that is said"
    assert "alice@example.com" in (folder / "report.html").read_text()
    assert not desk.blocks(folder)


@pytest.mark.parametrize("who", ["olga@example.com", "alice@example.com"])
def test_nobody_approves_their_own_closing(desk, who):
    """Neither the person who closes the residue nor the operator of the run may approve."""
    folder = desk.left("away")
    desk.signs("olga", "olga@example.com")
    key, closes = ("olga", "carol") if who.startswith("olga") else ("alice", "alice")
    desk.close(folder)
    assert desk.approve(folder, key)[0] == 0
    desk.becomes(closes)
    status, said = desk.close(folder)
    assert status == 4
    assert "approval-by-operator" in said


def test_an_approval_that_is_over_closes_nothing(desk):
    folder = desk.left("away")
    desk.close(folder)
    then = datetime.now(UTC) - timedelta(days=2)
    wanted = closure_approval.Closing(
        folder.name, "lab", read(folder / FILE).head, REASON, str(desk.root / "inventory" / "approvers")
    )
    closure_approval.approve(wanted, desk.root, now=then, until=timedelta(days=1), key=desk.root / "alice")
    status, said = desk.close(folder)
    assert (status, "approval-expired" in said) == (4, True)


def test_an_approval_of_a_plan_closes_nothing(desk):
    folder = desk.left("away")
    desk.close(folder)
    assert desk.approve(folder)[0] == 0
    (text,) = (desk.root / "approvals").glob("*.json")
    desk.drill()
    desk.invoke("drill.approve", "sample", "--key", str(desk.root / "alice"))
    (other,) = set((desk.root / "approvals").glob("*.json")) - {text}
    other.rename(text)
    other.with_name(f"{other.name}.sig").rename(text.with_name(f"{text.name}.sig"))
    assert "approval-not-verified" in desk.close(folder)[1]


def test_an_undo_that_is_armed_does_not_fire_after_it_was_closed(desk):
    folder = desk.left()
    host = access.connect(inventory.load(desk.root / "inventory" / "lab.yml"), "controller")
    lease = Lease(host, folder.name, 600)
    lease.arm(2, "files.chmod", [["touch", str(desk.root / "fired")]], deadline=Deadline.after(30))
    desk.file.chmod(0o644)
    assert desk.close(folder)[0] == 0
    assert lease.state(deadline=Deadline.after(30)) is None
    assert not (desk.root / "fired").exists()
    assert desk.result(folder)["settled"]["kept"] == []


def test_a_closing_that_died_half_way_is_ended_and_stays_closed(desk):
    folder = desk.left()
    desk.file.chmod(0o644)
    assert desk.close(folder)[0] == 0
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if b'"kind":"residue.settled"' in line)
    (folder / FILE).write_bytes(b"".join(lines[: end + 1]))
    (folder / "attestation.json").unlink()
    (folder / "attestation.json.sig").unlink(missing_ok=True)
    assert needs_recovery(read(folder / FILE))
    assert desk.invoke("drill.recover", folder.name)[0] == 0
    assert not needs_recovery(read(folder / FILE))
    result = desk.result(folder)
    assert (result["exit"], result["settled"]["reason"], len(result["residue"])) == (5, REASON, 1)


def test_what_cannot_be_closed_says_why(desk):
    folder = desk.left()
    status, said = desk.invoke("drill.recover", folder.name, "--settled")
    assert (status, said.partition(" hint: ")[0]) == (
        2,
        "error: --settled needs --reason; the reason appears in the journal, the reports and the audit",
    )
    assert desk.invoke("drill.recover", "--settled", "--reason", REASON)[0] == 2
    assert desk.invoke("drill.recover", folder.name, "--reason", REASON)[0] == 2
    assert desk.invoke("drill.recover", folder.name, "--settled", "--reason", " ")[0] == 2
    journal = Journal.resume(folder, Redactor([]), origin=time.monotonic())
    status, said = desk.close(folder)
    assert (status, "is still running" in said) == (2, True)
    journal.close()
    desk.file.chmod(0o644)
    assert desk.close(folder)[0] == 0
    status, said = desk.close(folder)
    assert (status, "was closed by olga" in said) == (2, True)
    data = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(data.replace(b'"effect":"fault"', b'"effect":"write"', 1))
    status, said = desk.close(folder)
    assert (status, "journal of the run is damaged" in said) == (2, True)


def test_a_run_that_left_nothing_has_nothing_to_close(desk):
    folder = desk.left()
    journal = Journal.resume(folder, Redactor([]), origin=time.monotonic())
    journal.append(content("run.finished", {"residue": [], "unwritten": ""}))
    journal.close()
    status, said = desk.close(folder)
    assert (status, "nothing to close" in said) == (2, True)


def test_the_last_line_of_a_recovery_says_the_state():
    assert recovered(samples.passed().result).startswith("✓ recovered")
    assert "still broken: 1 change could not be undone; exit 5" in recovered(samples.recorded("stuck").result)
    assert recovered(samples.recorded("closed").result).startswith("closed by ")
