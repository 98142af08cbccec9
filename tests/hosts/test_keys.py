"""Keys of servers and of users: known_hosts as ssh reads them, and keys that are of no use."""

import subprocess

import pytest

from drillbook.errors import (
    AuthenticationFailed,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
)
from drillbook.sdk.host import Target
from tests.hosts.reaching import alias, fails, fingerprint
from tests.hosts.servers import OpenSsh, new_key
from tests.hosts.suite import soon


def test_unknown_host_key_and_the_command_that_records_it(server, opened, tmp_path):
    known = tmp_path / "known hosts"
    target = server.target(known_hosts=str(known))
    error = fails(opened(target), HostKeyUnknown)
    assert "ssh-ed25519" in str(error)
    assert fingerprint(server.host_key) in error.message
    command = error.hint[error.hint.index("ssh-keyscan") :]
    assert command == f"ssh-keyscan -p {server.port} 127.0.0.1 >> '{known}'"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert opened(target).run(["true"], deadline=soon()).ok


def test_changed_host_key_names_the_line(server, opened, tmp_path):
    other = new_key(tmp_path / "other")
    known = tmp_path / "known"
    known.write_text(
        f"# one\nelsewhere {server.host_key.with_suffix('.pub').read_text()}"
        f"[127.0.0.1]:{server.port} {other.with_suffix('.pub').read_text()}"
    )
    error = fails(opened(server.target(known_hosts=str(known))), HostKeyChanged)
    assert f"{known}:3 " in error.message
    assert fingerprint(other) in error.message
    assert fingerprint(server.host_key) in error.message
    subprocess.run(error.hint[error.hint.index("ssh-keygen") :], shell=True, check=True, capture_output=True)
    assert "127.0.0.1" not in known.read_text()


def test_changed_host_key_in_a_hashed_file(openssh, opened, tmp_path):
    other, known = new_key(tmp_path / "other"), tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{openssh.port} {other.with_suffix('.pub').read_text()}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert f"{known}:1 " in fails(opened(openssh.target(known_hosts=str(known))), HostKeyChanged).message


def reached(openssh, opened, known):
    return opened(openssh.target(known_hosts=str(known)))


@pytest.fixture
def patient(tmp_path):
    """Separate server of the test, because sshd refuses an address after several connections without a login."""
    folder = tmp_path / "server"
    folder.mkdir()
    one = OpenSsh(folder).start()
    yield one
    one.stop()


def test_known_hosts_as_ssh_reads_them(patient, opened, tmp_path):
    """Each form of a known_hosts entry is read as OpenSSH reads it; the test compares with OpenSSH."""
    key, port, known = patient.host_key.with_suffix(".pub").read_text(), patient.port, tmp_path / "known"
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text()
    for number, (text, good) in enumerate(
        [
            (f"[127.0.0.*]:{port} {key}", True),
            (f"[127.0.0.?]:{port},elsewhere {key}", True),
            (f"* {key}", True),
            (f"127.0.0.1 {key}", True),
            (f"*,![127.0.0.1]:{port} {key}", True),
            (f"*,!127.* {key}", True),
            (f"*,![127.0.0.1]:{port},!127.0.0.1 {key}", False),
            (f"[127.0.0.1]:1 {key}", False),
            (f"@revoked * {key}[127.0.0.1]:{port} {key}", False),
            (f"@revoked * {other}[127.0.0.1]:{port} {key}", True),
            (f"@cert-authority * {key}", False),
            (f"nonsense\n\n# * {key}\n[127.0.0.1]:{port} {key}", True),
        ]
    ):
        known.write_text(text)
        ssh = subprocess.run(
            [
                "ssh",
                "-F",
                "/dev/null",
                "-o",
                "BatchMode=yes",
                "-o",
                f"UserKnownHostsFile={known}",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=/dev/null",
                "-o",
                "HostKeyAlgorithms=ssh-ed25519",
                "-i",
                str(patient.client_key),
                "-p",
                str(port),
                f"{patient.user}@127.0.0.1",
                "true",
            ],
            capture_output=True,
            check=False,
        )
        assert (ssh.returncode == 0) is good, (number, ssh.stderr)
        if good:
            assert reached(patient, opened, known).run(["true"], deadline=soon()).ok, number
        else:
            error = fails(reached(patient, opened, known), HostKeyChanged if text.startswith("@revoked") else HostKeyUnknown)
            assert ("which is revoked in" in error.message) is text.startswith("@revoked")
            assert ("@cert-authority" in error.message) is text.startswith("@cert")


def test_host_key_alias(patient, opened, tmp_path):
    known, config = tmp_path / "known", alias(patient, tmp_path / "ssh" / "config")
    config.write_text(config.read_text().replace(str(patient.known_hosts), str(known)) + "  HostKeyAlias the-database\n")
    error = fails(opened(Target(name="db"), ssh_config=str(config)), HostKeyUnknown)
    subprocess.run(error.hint[error.hint.index("ssh-keyscan") :], shell=True, check=True, capture_output=True)
    assert known.read_text().startswith("the-database ")
    assert opened(Target(name="db"), ssh_config=str(config)).run(["true"], deadline=soon()).ok
    known.write_text(f"the-database {new_key(tmp_path / 'other').with_suffix('.pub').read_text()}")
    assert "-R the-database" in fails(opened(Target(name="db"), ssh_config=str(config)), HostKeyChanged).hint


def test_wrong_key(server, opened, tmp_path):
    key = new_key(tmp_path / "stranger")
    error = fails(opened(server.target(identity=str(key))), AuthenticationFailed)
    assert server.user in error.message
    assert str(key) in error.message
    assert "authorized_keys" in error.hint


def test_no_key_at_all(server, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert "no key is available" in fails(opened(server.target(identity="")), AuthenticationFailed).message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("garbage"), "is not a usable private key"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: new_key(path, passphrase="secret"), "needs a passphrase"),
    ],
)
def test_identity_that_is_of_no_use(openssh, opened, tmp_path, make, words):
    make(tmp_path / "identity")
    error = fails(opened(openssh.target(identity=str(tmp_path / "identity"))), HostError)
    assert words in error.message
    assert str(tmp_path / "identity") in error.message
    assert error.hint


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_key(openssh, opened, tmp_path, kind):
    key = new_key(tmp_path / "key", kind=kind)
    authorized = openssh.folder / "authorized_keys"
    before = authorized.read_text()
    authorized.write_text(before + key.with_suffix(".pub").read_text())
    try:
        assert opened(openssh.target(identity=str(key))).run(["true"], deadline=soon()).ok
    finally:
        authorized.write_text(before)
