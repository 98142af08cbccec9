"""Keys and signatures, made and checked by the real ssh-keygen."""

import stat
import subprocess

import pytest

from drillbook.signing import keys
from drillbook.signing.keys import KeyProblem
from tests.needs import need

DATA = b'{"run": "r1"}\n'


@pytest.fixture(autouse=True)
def _program():
    need("ssh-keygen")


@pytest.fixture
def key(tmp_path):
    return keygen(tmp_path / "key")


def keygen(path, passphrase=""):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "own", "-f", path], check=True)
    return path


def signature(folder, key, data=DATA):
    path = folder / "signature"
    path.write_bytes(keys.sign(data, key))
    return path


def allowed(folder, *lines):
    path = folder / "allowed_signers"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_fingerprint_is_that_of_ssh(key):
    listed = subprocess.run(["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True).stdout
    assert keys.fingerprint(keys.public_of(key)) == listed.split()[1]
    key.with_name("key.pub").unlink()
    assert keys.fingerprint(keys.public_of(key)) == listed.split()[1], "the private key alone will do"


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 no/base64!"])
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(KeyProblem, match="is not an SSH public key"):
        keys.fingerprint(text)


def test_a_signature_names_its_key_and_fits_its_data_alone(tmp_path, key):
    path = signature(tmp_path, key)
    assert keys.signer(DATA, path) == keys.fingerprint(keys.public_of(key))
    assert keys.signer(DATA + b" ", path) == ""
    path.write_bytes(b"no signature")
    assert keys.signer(DATA, path) == ""


def test_a_key_with_a_passphrase_is_not_asked_for(tmp_path):
    locked = keygen(tmp_path / "locked", passphrase="long enough")
    with pytest.raises(KeyProblem, match=r"the key .*locked cannot be used"):
        keys.sign(DATA, locked)


@pytest.mark.parametrize(
    ("options", "at", "name"),
    [
        ("", "2026-06-01T00:00:00Z", "alice"),
        (f'namespaces="{keys.NAMESPACE}" ', "2026-06-01T00:00:00Z", "alice"),
        ('namespaces="drillbook-approval" ', "2026-06-01T00:00:00Z", ""),
        ('valid-before="20260101Z" ', "2025-06-01T00:00:00Z", "alice"),
        ('valid-before="20260101Z" ', "2026-06-01T00:00:00Z", ""),
        ('valid-after="20260101Z" ', "2025-06-01T00:00:00Z", ""),
    ],
)
def test_a_signer_is_known_by_the_file_at_the_time_of_the_signature(tmp_path, key, options, at, name):
    path = signature(tmp_path, key)
    signers = allowed(tmp_path, "# people", f"alice {options}{keys.public_of(key)}")
    assert keys.principal(DATA, path, signers, at) == name
    assert keys.principal(DATA + b" ", path, signers, at) == ""
    assert keys.principal(DATA, path, allowed(tmp_path, "# nobody"), at) == ""


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("alice ssh-ed25519 AAAA", True),
        ('alice namespaces="drillbook-attestation" ssh-ed25519 AAAA', True),
        ('alice namespaces="drillbook-*" ssh-ed25519 AAAA', True),
        ('alice namespaces="drillbook-approval" ssh-ed25519 AAAA', False),
        ("# alice ssh-ed25519 AAAA", False),
        ("", False),
    ],
)
def test_a_file_names_signers_if_a_line_permits_attestations(tmp_path, line, names):
    assert keys.names_signers(allowed(tmp_path, line)) is names


def test_a_file_that_cannot_be_read_may_name_signers(tmp_path):
    assert keys.names_signers(tmp_path / "missing")


def test_the_key_is_that_of_the_environment_then_of_the_project_then_of_the_user(tmp_path, monkeypatch):
    monkeypatch.delenv(keys.CHOICE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert keys.chosen(tmp_path) == tmp_path / "config" / "drillbook" / "signing_key"
    own = tmp_path / ".drillbook" / "signing_key"
    own.parent.mkdir()
    own.touch()
    assert keys.chosen(tmp_path) == own
    monkeypatch.setenv(keys.CHOICE, "/named/key")
    assert str(keys.chosen(tmp_path)) == "/named/key"
    with pytest.raises(KeyProblem, match="does not exist"):
        keys.ready_key(tmp_path)


def test_a_user_without_a_key_gets_one_that_nobody_else_reads(tmp_path, monkeypatch):
    monkeypatch.delenv(keys.CHOICE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert keys.fingerprint_of(tmp_path) == ""
    key, public = keys.ready_key(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert keys.ready_key(tmp_path) == (key, public), "the same key at the next run"
    assert keys.fingerprint_of(tmp_path) == keys.fingerprint(public)


def test_the_key_of_a_project_never_comes_into_its_repository(tmp_path, monkeypatch):
    monkeypatch.delenv(keys.CHOICE, raising=False)
    folder = tmp_path / ".drillbook"
    folder.mkdir()
    keygen(folder / "signing_key")
    (folder / ".gitignore").write_text("*.schema.json")
    keys.ready_key(tmp_path)
    keys.ready_key(tmp_path)
    assert (folder / ".gitignore").read_text() == "*.schema.json\n/signing_key\n"
