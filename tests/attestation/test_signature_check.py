"""Signatures of attestations: whose key made them, and if the project trusts this key."""

import json

import pytest

from drillbook.attestation import signature_check
from drillbook.attestation.format import FILE, SCHEMA, SIGNATURE
from drillbook.attestation.signature_check import State
from drillbook.journal.run_state import RunState
from drillbook.signing import keys
from tests.attestation.forging import throw_away_key
from tests.needs import need

AT = "2026-11-30T12:00:00Z"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Folder of a run with an attestation that is signed with the user's key."""
    need("ssh-keygen")
    monkeypatch.delenv(keys.CHOICE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project" / "reports" / "r1"
    folder.mkdir(parents=True)
    begun(folder)
    sign(folder, keys.ready_key(tmp_path / "project")[0])
    return folder


def begun(run, approval=None):
    (run / "journal.jsonl").write_text(json.dumps({"data": {"approval": approval}}) + "\n")


def sign(run, key, **said):
    """Write an attestation with the fields ``said``, and sign it with ``key``."""
    data = json.dumps({"schema": SCHEMA, "at": AT, "key": {"public": "any"}, **said}).encode()
    (run / FILE).write_bytes(data)
    (run / SIGNATURE).write_bytes(keys.sign(data, key))


def look(run):
    return signature_check.look(RunState(run), run.parents[1])


def allow(run, text):
    path = run.parents[1] / keys.ALLOWED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_key_of_this_machine_vouches(run):
    attested = look(run)
    assert attested.state is State.VOUCHED
    assert attested.said.startswith("signed with this machine's own key ")
    assert attested.vouched == attested.statement == json.loads((run / FILE).read_bytes())


def test_a_key_that_nobody_knows_vouches_for_nothing(run, tmp_path):
    thief = throw_away_key(tmp_path)
    sign(run, thief)
    attested = look(run)
    assert (attested.state, attested.vouched) == (State.STRANGE, None)
    assert attested.statement is not None
    assert keys.fingerprint(keys.public_of(thief)) in attested.said


def test_the_list_of_the_project_names_who_may_sign(run, tmp_path):
    thief = throw_away_key(tmp_path)
    public = keys.public_of(thief)
    sign(run, thief)
    allow(run, f"ann@example.com {public}\n")
    attested = look(run)
    assert (attested.state, attested.said.startswith("signed by ann@example.com, who is listed in")) == (State.VOUCHED, True)
    allow(run, f'ann@example.com valid-before="20200101" {public}\n')
    assert look(run).state is State.FORBIDDEN
    allow(run, f'ann@example.com namespaces="drillbook-approval" {public}\n')
    assert look(run).state is State.STRANGE, "the list names nobody who may sign runs"
    sign(run, keys.ready_key(run.parents[1])[0])
    assert look(run).state is State.VOUCHED, "the machine's own key need not be listed"


def test_who_approved_a_run_does_not_vouch_for_it_alone(run):
    begun(run, {"key": keys.fingerprint_of(run.parents[1])})
    attested = look(run)
    assert (attested.state, attested.vouched) == (State.APPROVER, None)
    begun(run, {"key": "SHA256:another"})
    assert look(run).state is State.VOUCHED


def changed(run):
    (run / FILE).write_bytes((run / FILE).read_bytes().replace(b"any", b"one"))


def unsigned(run, **said):
    (run / SIGNATURE).unlink()
    (run / FILE).write_text(json.dumps({"schema": SCHEMA, **said}))


@pytest.mark.parametrize(
    ("change", "state", "said"),
    [
        (lambda run: (run / FILE).unlink(), State.ABSENT, "there is no attestation.json"),
        (lambda run: (run / FILE).write_text("{}"), State.UNREADABLE, "the file was changed, or has an unknown format"),
        (changed, State.UNFIT, "the attestation was changed after it was signed"),
        (lambda run: (run / SIGNATURE).write_text("nonsense"), State.UNFIT, "the signature does not match"),
        (lambda run: (run / SIGNATURE).unlink(), State.UNSIGNED, "the signature was removed"),
        (lambda run: unsigned(run, unsigned="no key"), State.UNSIGNED, "the attestation is not signed: no key"),
        (unsigned, State.UNSIGNED, "no reason is given"),
        (lambda run: ((run / FILE).unlink(), (run / FILE).mkdir()), State.UNTRIED, "cannot be read: Is a directory"),
    ],
    ids=["absent", "unreadable", "changed", "nonsense", "removed", "no key", "no reason", "folder"],
)
def test_what_is_wrong_with_an_attestation_is_told(run, change, state, said):
    change(run)
    attested = look(run)
    assert (attested.state, attested.vouched, said in attested.said) == (state, None, True), attested.said


def test_without_ssh_keygen_no_signature_is_checked(run, monkeypatch):
    monkeypatch.setenv("PATH", str(run))
    attested = look(run)
    assert (attested.state, attested.said) == (State.UNTRIED, f"the signature could not be checked: {keys.NO_PROGRAM}")
