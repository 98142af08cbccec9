"""Approvals with real keys and the real ssh-keygen: signed, verified, or refused, each for a separate reason."""

import json
import os
import pwd
import subprocess
from datetime import UTC, datetime, timedelta, timezone

import pytest

from drillbook.errors import UsageError
from drillbook.inventory import inventory
from drillbook.plan import approval, guard, planner, spec
from drillbook.signing import account, keys
from tests.needs import need
from tests.plan.test_planner import HOSTS
from tests.plan.test_spec import GOOD

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OPERATOR = "olga@laptop"


@pytest.fixture(autouse=True)
def keygen():
    need("ssh-keygen")


class Desk:
    """Production project with the keys of two people; Alice may approve, Mallory may not."""

    def __init__(self, root):
        self.root = root
        (root / "inventory").mkdir()
        self.keys = {name: self.key(name) for name in ("alice", "mallory")}
        public = self.keys["alice"].with_suffix(".pub").read_text().split()
        self.approvers = root / "inventory" / "approvers"
        self.approvers.write_text(
            f'# who may approve\nalice@example.com namespaces="drillbook-approval" {public[0]} {public[1]}\n'
        )
        self.plan = self.planned()

    def key(self, name):
        path = self.root / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
        return path

    def planned(self, drill=GOOD, approvers="approvers: approvers\n"):
        (self.root / "sample.yml").write_text(
            drill.replace("service: api\n", "service: api\nguard: {environments: [production]}\n", 1)
        )
        path = self.root / "inventory" / "hosts.yml"
        path.write_text(HOSTS.replace("environment: lab", "environment: production") + approvers)
        return planner.make(spec.load(self.root / "sample.yml"), inventory.load(path))

    def approve(self, who="alice", until=DAY, now=NOW):
        return approval.approve(self.plan, self.root, now=now, until=until, key=self.keys[who])

    def look(self, operator=OPERATOR, now=NOW, one=None, signing=""):
        return approval.look(one or self.plan, self.root, now=now, operator=operator, signing=signing)

    def code(self, **how):
        look = self.look(**how)
        assert look.facts() is None
        assert look.refusal.remedy
        assert look.refusal.measured
        return look.refusal.code


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_an_approved_plan_may_run(desk):
    assert [one.code for one in guard.check(desk.plan, now=NOW, confirm="production", approval=desk.look())] == [
        "approval-missing"
    ]
    _, files = desk.approve()
    assert files.text.name == f"sample.{desk.plan.digest[7:15]}.json"
    look = desk.look()
    assert guard.check(desk.plan, now=NOW, confirm="production", approval=look) == []
    facts = look.facts()
    assert (facts["principal"], facts["plan_digest"]) == ("alice@example.com", desk.plan.digest)
    assert facts["until"] == "2026-11-26T04:00:00Z"
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{desk.keys['alice']}.pub"], capture_output=True, text=True, check=True
    )
    assert facts["key"] == shown.stdout.split()[1]


def test_without_an_approval(desk):
    assert desk.code() == "approval-missing"


def test_it_ends(desk):
    desk.approve(until=timedelta(hours=2))
    assert desk.look(now=NOW + timedelta(hours=1, minutes=59)).refusal is None
    assert desk.code(now=NOW + timedelta(hours=2)) == "approval-expired"
    desk.approve(now=NOW + timedelta(hours=2))
    assert desk.look(now=NOW + timedelta(hours=3)).refusal is None, "it can be given again"


def test_it_was_given_before_it_is_used(desk):
    """With a future date, the approval would be valid for longer than allowed."""
    desk.approve(now=NOW + DAY)
    assert desk.code() == "approval-not-verified"
    desk.approve(now=NOW + timedelta(minutes=5))
    assert desk.look().refusal is None, "clocks differ a little"


def test_a_changed_plan_needs_a_new_one(desk):
    desk.approve()
    changed = desk.planned(GOOD.replace("name: Kill it", "name: Kill it\n    timeout: 9s"))
    look = desk.look(one=changed)
    assert look.refusal.code == "approval-changed"
    assert desk.plan.digest[7:15] in look.refusal.measured
    old, new = approval.Files.of(desk.root, desk.plan), approval.Files.of(desk.root, changed)
    old.text.rename(new.text)
    old.signature.rename(new.signature)
    assert desk.code(one=changed) == "approval-changed", "under another name it is the same approval"


def test_a_signer_whom_nobody_named(desk):
    files = approval.Files.of(desk.root, desk.plan)
    with pytest.raises(UsageError, match="not signed by a permitted approver"):
        desk.approve("mallory")
    assert not files.text.exists()
    desk.approve()
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "drillbook-approval", "-f", desk.keys["mallory"], files.text],
        input=b"y\n",
        check=True,
        capture_output=True,
    )
    assert desk.code() == "approval-unknown-signer"


def test_a_signer_who_was_taken_off_the_list(desk):
    desk.approve()
    desk.approvers.write_text("# nobody\n")
    assert desk.code() == "approval-unknown-signer"


def test_a_name_that_is_not_the_keys(desk):
    """Alice's key is not valid for an approval as Bob."""
    _, files = desk.approve()
    desk.approvers.write_text(
        desk.approvers.read_text()
        + desk.approvers.read_text().splitlines()[1].replace("alice@example.com", "carol@example.com")
    )
    text = json.loads(files.text.read_text())
    files.text.write_text(json.dumps({**text, "principal": "bob@example.com"}))
    files.signature.unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "drillbook-approval", "-f", desk.keys["alice"], files.text],
        check=True,
        capture_output=True,
    )
    assert desk.code() == "approval-unknown-signer"


@pytest.mark.parametrize("how", ["text", "signature", "none", "namespace", "garbage"])
def test_a_signature_that_does_not_fit(desk, how):
    _, files = desk.approve()
    if how == "text":
        files.text.write_text(files.text.read_text().replace("2026-11-26", "2027-11-26"))
    elif how == "signature":
        lines = files.signature.read_text().splitlines()
        lines[-2] = lines[-2][:-6] + ("AAAAAA" if not lines[-2].endswith("AAAAAA") else "BBBBBB")
        files.signature.write_text("\n".join(lines) + "\n")
    elif how == "garbage":
        files.signature.write_bytes(b"\x00\xff not a signature")
    else:
        files.signature.unlink()
    if how == "namespace":
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", desk.keys["alice"], files.text],
            check=True,
            capture_output=True,
        )
    assert desk.code() == "approval-bad-signature"


@pytest.mark.parametrize("operator", ["alice@example.com", "alice@laptop", "Alice", "ALICE@EXAMPLE.COM"])
def test_nobody_approves_their_own_drill(desk, operator):
    desk.approve()
    assert desk.code(operator=operator) == "approval-by-operator"


def test_another_name_in_the_environment_does_not_help(desk, monkeypatch):
    """The operator is the account that the kernel reports, whatever the environment of the process contains."""
    me = pwd.getpwuid(os.getuid()).pw_name
    desk.approvers.write_text(desk.approvers.read_text().replace("alice@", f"{me}@"))
    desk.approve()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "olga")
    assert desk.code(operator="release-pipeline") == "approval-by-operator"


def test_the_one_who_logged_in_before_sudo_is_the_operator_too(desk, monkeypatch, tmp_path):
    """With auditing, the kernel stores it in loginuid; a file replaces this here."""
    (tmp_path / "loginuid").write_text(str(pwd.getpwnam("nobody").pw_uid))
    monkeypatch.setattr(account, "LOGIN", tmp_path / "loginuid")
    desk.approvers.write_text(desk.approvers.read_text().replace("alice@", "nobody@"))
    desk.approve()
    assert desk.code() == "approval-by-operator"
    assert account.of(account.told()) == account.names()
    (tmp_path / "loginuid").write_text(str(account.UNSET))
    assert desk.look().refusal is None


def test_the_key_that_signs_the_run_does_not_approve_it(desk, monkeypatch):
    """Two names with the same key are one person."""
    desk.approve()
    monkeypatch.setenv("DRILLBOOK_SIGNING_KEY", str(desk.keys["alice"]))
    look = desk.look(signing=keys.fingerprint_of(desk.root))
    assert look.refusal.code == "approval-by-operator"
    assert "the same key signs this run" in look.refusal.measured
    monkeypatch.setenv("DRILLBOOK_SIGNING_KEY", str(desk.keys["mallory"]))
    assert desk.look(signing=keys.fingerprint_of(desk.root)).refusal is None


def test_without_ssh_keygen(desk, monkeypatch, tmp_path):
    desk.approve()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    look = desk.look()
    assert look.refusal.code == "approval-not-verified"
    assert "ssh-keygen" in look.refusal.measured
    assert "openssh-client" in look.refusal.remedy
    with pytest.raises(UsageError, match="ssh-keygen is not installed on this machine"):
        desk.approve()


def test_an_inventory_without_approvers(desk):
    desk.approve()
    one = desk.planned(approvers="")
    assert one.digest == desk.plan.digest, "who may approve is not what is approved"
    assert desk.code(one=one) == "approval-not-verified"
    desk.approvers.unlink()
    assert desk.code() == "approval-not-verified"
    with pytest.raises(UsageError, match="does not exist"):
        desk.approve()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b'{"format": "drillbook/approval/1"}', b"0" * 100_000])
def test_what_is_no_approval(desk, text):
    _, files = desk.approve()
    files.text.write_bytes(text)
    if len(text) < 100_000:
        files.signature.unlink()
        subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", "drillbook-approval", "-f", desk.keys["alice"], files.text],
            check=True,
            capture_output=True,
        )
    assert desk.code() == "approval-not-verified"


@pytest.mark.parametrize("until", [timedelta(0), timedelta(days=-1), timedelta(days=31)])
def test_it_holds_for_a_while_only(desk, until):
    with pytest.raises(UsageError, match="30 days"):
        desk.approve(until=until)


def test_a_key_limited_in_time_by_its_line(desk):
    desk.approve()
    line = desk.approvers.read_text().splitlines()[1].replace("namespaces=", 'valid-before="20200101",namespaces=')
    desk.approvers.write_text(line + "\n")
    assert desk.code() == "approval-unknown-signer"


def test_keys_that_cannot_sign(desk):
    desk.keys["gone"] = desk.root / "gone"
    with pytest.raises(UsageError, match="does not exist"):
        desk.approve("gone")
    (desk.root / "broken.pub").write_text(desk.keys["alice"].with_suffix(".pub").read_text())
    (desk.root / "broken").write_text("no key\n")
    (desk.root / "broken").chmod(0o600)
    desk.keys["broken"] = desk.root / "broken"
    with pytest.raises(UsageError, match="could not sign"):
        desk.approve("broken")
    assert not list(desk.root.glob("approvals/*"))


def signed(desk, **changes):
    """Approval signed by hand, which ``drill.approve`` never creates."""
    _, files = desk.approve()
    files.text.write_text(json.dumps({**json.loads(files.text.read_text()), **changes}))
    files.signature.unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "drillbook-approval", "-f", desk.keys["alice"], files.text],
        check=True,
        capture_output=True,
    )


@pytest.mark.parametrize(("days", "code"), [(30, None), (31, "approval-expired"), (400, "approval-expired")])
def test_an_approval_that_was_signed_by_hand_for_too_long_does_not_count(desk, days, code):
    signed(desk, until=(NOW + timedelta(days=days)).isoformat())
    look = desk.look()
    assert (look.refusal.code if look.refusal else None) == code
    if code:
        assert look.facts() is None
        assert f"for {days} days" in look.refusal.measured


@pytest.mark.parametrize(("minutes", "code"), [(10, None), (11, "approval-not-verified")])
def test_an_approval_from_the_future_counts_only_as_far_as_clocks_differ(desk, minutes, code):
    signed(desk, made=(NOW + timedelta(minutes=minutes)).isoformat())
    look = desk.look()
    assert (look.refusal.code if look.refusal else None) == code


@pytest.mark.parametrize("key", ["drill", "environment", "plan_digest"])
def test_an_approval_of_anything_else_does_not_count(desk, key):
    signed(desk, **{key: "sha256:" + "0" * 64})
    assert desk.code() == "approval-changed"


@pytest.mark.parametrize("key", ["made", "until"])
def test_a_time_without_a_zone_is_no_time(desk, key):
    signed(desk, **{key: "2026-11-25T03:00:00"})
    assert desk.code() == "approval-not-verified"


def test_the_first_of_the_usual_keys_is_taken_where_none_is_named(desk, monkeypatch):
    monkeypatch.setenv("HOME", str(desk.root))
    (desk.root / ".ssh").mkdir()
    with pytest.raises(UsageError, match="contains no key"):
        approval.approve(desk.plan, desk.root, now=NOW, until=DAY)
    for who, name in (("mallory", "id_rsa"), ("alice", "id_ed25519")):
        for ending in ("", ".pub"):
            (desk.root / ".ssh" / f"{name}{ending}").write_bytes((desk.root / f"{who}{ending}").read_bytes())
        (desk.root / ".ssh" / name).chmod(0o600)
    approval.approve(desk.plan, desk.root, now=NOW, until=DAY)
    assert desk.look().facts()["principal"] == "alice@example.com"


@pytest.mark.parametrize("text", [b"", b"one-word\n", b"\xff\xfe\x80"])
def test_a_public_half_that_is_none_is_told_with_what_to_do(desk, text):
    desk.keys["alice"].with_suffix(".pub").write_bytes(text)
    with pytest.raises(UsageError, match="contains no public key") as told:
        desk.approve()
    assert "ssh-keygen -y -f" in told.value.hint
    desk.keys["alice"].with_suffix(".pub").unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        desk.approve()


def test_the_public_half_may_be_named(desk):
    """The private key is then in an agent; here it is next to the public one."""
    approval.approve(desk.plan, desk.root, now=NOW, until=DAY, key=desk.keys["alice"].with_suffix(".pub"))
    assert desk.look().refusal is None


def test_names_of_approvers_are_those_without_patterns_on_lines_that_count(desk):
    public, other = (" ".join(desk.keys[who].with_suffix(".pub").read_text().split()[:2]) for who in ("alice", "mallory"))
    desk.approvers.write_text(
        f"# carol@example.com {public}\n*@example.org,!x@example.org {public}\n"
        f'bob@example.com {other}\n*@example.net,alice@example.com namespaces="drillbook-approval" {public}\n'
        f"dave@example.com {public}\n",
        encoding="utf-8",
    )
    desk.approve()
    assert desk.look().facts()["principal"] == "alice@example.com"
    desk.approvers.write_bytes(b"\xff\xfe\n" + f"*@example.com {public}\n".encode())
    with pytest.raises(UsageError, match="not signed by a permitted approver"):
        desk.approve()


def test_an_approval_is_written_whole_and_leaves_nothing_beside_it(desk):
    _, files = desk.approve()
    assert sorted(path.name for path in files.text.parent.iterdir()) == [files.text.name, files.signature.name]
    desk.approve(now=NOW + timedelta(minutes=5))
    assert sorted(path.name for path in files.text.parent.iterdir()) == [files.text.name, files.signature.name]


def test_times_are_told_in_utc_and_a_refusal_says_what_was_wanted(desk):
    zone = timezone(timedelta(hours=8))
    approval.approve(desk.plan, desk.root, now=NOW.astimezone(zone), until=timedelta(hours=2), key=desk.keys["alice"])
    refusal = desk.look(now=NOW + timedelta(hours=3)).refusal
    assert "alice@example.com approved only until 2026-11-25 06:00 UTC" in refusal.measured
    assert "2026-11-25 07:00 UTC" in refusal.wanted


def test_what_is_larger_than_any_approval_is_not_read(desk):
    _, files = desk.approve()
    files.signature.write_bytes(b"x" * (64 * 1024))
    assert desk.code() == "approval-bad-signature"
    files.signature.write_bytes(b"x" * (64 * 1024 + 1))
    assert desk.code() == "approval-not-verified"
    files.signature.unlink()
    files.signature.mkdir()
    assert desk.code() == "approval-not-verified"


def test_a_login_that_is_not_known_is_nobody(desk, monkeypatch):
    desk.approve()
    monkeypatch.setattr("os.getuid", lambda: 3_999_999)
    assert desk.look().refusal is None
    assert desk.code(operator="alice") == "approval-by-operator"


def test_only_the_newest_approval_of_another_state_is_named(desk):
    folder = desk.root / "approvals"
    folder.mkdir()
    for number, name in enumerate(("sample.00000000.json", "sample.11111111.json", "other.22222222.json")):
        (folder / name).write_text("{}")
        os.utime(folder / name, (number, number))
    assert desk.code() == "approval-changed"
    assert "sample.11111111.json" in desk.look().refusal.measured
