"""Approvals when ssh-keygen hangs or prints unexpected output, and for unusual names; each refusal has a separate code."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from drillbook.errors import UsageError
from drillbook.plan import approval
from drillbook.signing import texts
from tests.needs import need
from tests.plan import test_approval
from tests.plan.test_approval import DAY, NOW, Desk


@pytest.fixture
def desk(tmp_path):
    need("ssh-keygen")
    return Desk(tmp_path)


def keygen(desk, monkeypatch, script):
    """Replacement of the program ssh-keygen."""
    folder = desk.root / "bin"
    folder.mkdir()
    (folder / "ssh-keygen").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_program_that_hangs_is_not_waited_for(desk, monkeypatch):
    desk.approve()
    keygen(desk, monkeypatch, "exec sleep 30")
    monkeypatch.setattr(texts, "KEYGEN_S", 0.3)
    assert desk.code() == "approval-not-verified"
    assert desk.look().refusal.measured == "ssh-keygen could not be run: TimeoutExpired"
    with pytest.raises(UsageError, match="ssh-keygen could not be run: TimeoutExpired"):
        desk.approve()


def test_a_program_that_cannot_be_started_is_told(desk, monkeypatch):
    desk.approve()
    keygen(desk, monkeypatch, "exit 0")
    monkeypatch.setenv("PATH", str(desk.root / "bin"))
    (desk.root / "bin" / "ssh-keygen").write_bytes(b"\x7fELF nothing")
    assert desk.look().refusal.measured == "ssh-keygen could not be run: OSError"
    with pytest.raises(UsageError, match="ssh-keygen could not be run: OSError"):
        desk.approve()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "ssh-keygen ended with status 3"),
        ("echo first; echo; echo why; echo '  '; exit 1", "why"),
        ("echo out; echo odd >&2; exit 1", "out"),
        ("exit 0", "ssh-keygen ended with status 0"),
        ("echo SHA256:abc; echo no >&2; exit 1", "SHA256:abc"),
    ],
)
def test_the_last_line_that_the_program_says_is_told(desk, monkeypatch, script, told):
    desk.approve()
    keygen(desk, monkeypatch, script)
    refusal = desk.look().refusal
    assert (refusal.code, refusal.measured) == ("approval-bad-signature", told)
    assert "drillbook-approval" in refusal.wanted


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 1", "ssh-keygen gave no reason"),
        ("echo one >&2; echo two >&2; exit 1", "two"),
        ("exit 0", "ssh-keygen gave no reason"),
    ],
)
def test_a_key_that_makes_no_signature_says_why(desk, monkeypatch, script, told):
    keygen(desk, monkeypatch, script)
    with pytest.raises(UsageError, match=f"could not sign: {told}"):
        desk.approve()
    assert not (desk.root / "approvals").exists()


def test_an_approval_without_a_name_is_none(desk):
    test_approval.signed(desk, principal="")
    assert desk.code() == "approval-not-verified"
    test_approval.signed(desk, principal="x" * 201)
    assert desk.code() == "approval-not-verified"
    test_approval.signed(desk, more="x")
    assert desk.code() == "approval-not-verified"


def test_an_approval_cannot_be_changed_once_it_is_read(desk):
    desk.approve()
    found = desk.look().approval
    with pytest.raises(ValidationError):
        found.until = NOW


def test_a_name_that_is_empty_is_not_chosen(desk):
    public = " ".join(desk.keys["alice"].with_suffix(".pub").read_text().split()[:2])
    desk.approvers.write_text(f',"alice@example.com" {public}\n')
    look, _ = desk.approve()
    assert look.approval.principal == "alice@example.com"


def test_who_is_not_logged_in_by_any_name_is_not_the_approver(desk, monkeypatch):
    test_approval.signed(desk, principal="@example.com")
    monkeypatch.setattr("os.getuid", lambda: 3_999_999)
    assert desk.code() == "approval-unknown-signer", "and not: by the operator, whose name is not known"


@pytest.mark.parametrize(
    ("operator", "same"),
    [
        ("alice", True),
        ("alice@other", True),
        (" Alice ", True),
        ("alic", False),
        ("alicea", False),
        ("bob@example.com", False),
        ("zoe", False),
        ("", False),
    ],
)
def test_a_person_is_told_by_what_stands_before_the_at(desk, operator, same):
    desk.approve()
    refusal = desk.look(operator=operator).refusal
    assert (refusal.code if refusal else None) == ("approval-by-operator" if same else None)


def test_the_times_of_an_approval_are_whole_seconds_in_utc(desk):
    look, _ = approval.approve(
        desk.plan, desk.root, now=NOW.replace(microsecond=987_654), until=timedelta(hours=1.0001), key=desk.keys["alice"]
    )
    assert (look.approval.made, look.approval.until) == (NOW, datetime(2026, 11, 25, 5, 0, 1, tzinfo=UTC))
    facts = desk.look().facts()
    assert (facts["made"], facts["until"]) == ("2026-11-25T04:00:00Z", "2026-11-25T05:00:01Z")


@pytest.mark.parametrize("until", [timedelta(microseconds=1), timedelta(days=30)])
def test_the_shortest_and_the_longest_time_count(desk, until):
    assert desk.approve(until=until)[0].approval is not None


def test_a_key_whose_line_does_not_hold_signs_nothing(desk):
    line = desk.approvers.read_text().splitlines()[1].replace("namespaces=", 'valid-before="20200101",namespaces=')
    desk.approvers.write_text(f"{line}\n")
    with pytest.raises(UsageError, match="not signed by a permitted approver") as told:
        desk.approve()
    assert "alice@example.com with the key SHA256:" in told.value.message
    assert not (desk.root / "approvals").exists()


def test_what_is_missing_is_told_with_what_to_do(desk):
    folder = desk.root / "approvals"
    missing = desk.look().refusal
    assert (missing.code, missing.wanted) == ("approval-missing", f"sample.{desk.plan.digest[7:15]}.json")
    assert "invoke drill.approve sample" in missing.remedy
    desk.approve()
    next(folder.glob("*.sig")).unlink()
    unsigned = desk.look().refusal
    assert (unsigned.code, unsigned.wanted) == ("approval-bad-signature", "the approval's signature")
    assert "invoke drill.approve sample" in unsigned.remedy
    next(folder.glob("*.json")).rename(folder / "sample.00000000.json")
    changed = desk.look().refusal
    assert (changed.code, changed.measured) == (
        "approval-changed",
        "the newest approval of this drill, sample.00000000.json, is for another plan",
    )
    assert "invoke drill.plan sample" in changed.remedy


@pytest.mark.parametrize(
    ("approvers", "told"),
    [
        ("", "the inventory names no approvers"),
        ("nowhere", "the approvers' file "),
        ("inventory", "the approvers' file "),
    ],
)
def test_without_a_file_of_approvers_nothing_is_approved(desk, monkeypatch, approvers, told):
    monkeypatch.chdir(desk.root)
    with pytest.raises(texts.Refused) as refused:
        texts.signers_of(approvers)
    assert (refused.value.finding.code, refused.value.finding.measured.startswith(told)) == ("approval-not-verified", True)
    assert texts.signers_of(str(desk.approvers)) == desk.approvers


def test_facts_are_those_of_an_approval_that_counts():
    assert texts.Look().facts() is None
    refusal = texts.Refused("approval-missing", "no").finding
    assert texts.Look(refusal=refusal).facts() is None
    made = texts.Signed(principal="alice", made=NOW, until=NOW + DAY)
    assert texts.Look(made, "SHA256:x", refusal).facts() is None
    assert texts.Look(made, "SHA256:x").facts() == {
        "principal": "alice",
        "made": "2026-11-25T04:00:00Z",
        "until": "2026-11-26T04:00:00Z",
        "key": "SHA256:x",
    }


def test_the_home_folder_is_written_with_a_tilde(desk, monkeypatch):
    monkeypatch.setenv("HOME", str(desk.root))
    look, _ = approval.approve(desk.plan, desk.root, now=NOW, until=DAY, key=Path("~/alice"))
    assert look.approval.principal == "alice@example.com"
