"""Signatures of backup manifests, made and checked by ssh-keygen."""

import pytest

from drillbook.attestation.manifests import ManifestKeys
from drillbook.signing import keys
from tests.needs import need

MANIFEST = b'{"format": "drillbook/files-archive/1"}'


@pytest.fixture
def project(tmp_path, monkeypatch):
    need("ssh-keygen")
    monkeypatch.delenv(keys.CHOICE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def elsewhere(tmp_path, monkeypatch):
    """Let the user be another one, who has a key of their own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))


def test_a_manifest_is_signed_with_the_key_of_the_runs(project):
    signature, why = ManifestKeys(project).sign(MANIFEST)
    assert (signature.startswith(b"-----BEGIN SSH SIGNATURE-----"), why) == (True, "")
    assert ManifestKeys(project).doubt(MANIFEST, signature) == ""


def test_each_doubt_of_a_manifest_is_told(project, tmp_path, monkeypatch):
    signature, _ = ManifestKeys(project).sign(MANIFEST)
    doubt = ManifestKeys(project).doubt
    assert doubt(MANIFEST, None) == "the manifest is not signed"
    assert doubt(MANIFEST + b" ", signature) == (
        "the signature of the manifest does not match: the manifest was changed after it was signed"
    )
    assert doubt(MANIFEST, b"nonsense").startswith("the signature of the manifest does not match")
    elsewhere(tmp_path, monkeypatch)
    assert doubt(MANIFEST, signature).startswith("signed by an unknown key: SHA256:")


def test_a_key_on_the_list_of_the_project_is_trusted_everywhere(project, tmp_path, monkeypatch):
    signature, _ = ManifestKeys(project).sign(MANIFEST)
    _, public = keys.ready_key(project)
    elsewhere(tmp_path, monkeypatch)
    allowed = project / keys.ALLOWED
    allowed.parent.mkdir(parents=True, exist_ok=True)
    allowed.write_text(f"ann@example.com {public}\n")
    assert ManifestKeys(project).doubt(MANIFEST, signature) == ""


def test_without_a_usable_key_the_reason_is_told(project, monkeypatch):
    monkeypatch.setenv(keys.CHOICE, str(project / "none"))
    signature, why = ManifestKeys(project).sign(MANIFEST)
    assert (signature, why.endswith("does not exist")) == (b"", True)
    monkeypatch.delenv(keys.CHOICE)
    signature, _ = ManifestKeys(project).sign(MANIFEST)
    monkeypatch.setenv("PATH", str(project))
    assert ManifestKeys(project).sign(MANIFEST) == (b"", keys.NO_PROGRAM)
    assert ManifestKeys(project).doubt(MANIFEST, signature) == (
        f"the signature of the manifest could not be checked: {keys.NO_PROGRAM}"
    )
