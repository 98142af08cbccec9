"""Keys of age on the controller: the key that opens a backup is known before anything is fetched."""

import subprocess
import sys

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.redact import Redactor
from drillbook.sdk.encryption import Encryption, decrypted, fitting_keys, need_library
from drillbook.sdk.service import S3
from drillbook.systems.tar.source import TarSource
from drillbook.values import Secret
from tests import keys
from tests.needs import library, need
from tests.systems.refusals import refused_until


@pytest.fixture
def key(tmp_path):
    return keys.made(tmp_path)


def lost(identity, *recipients):
    with pytest.raises(StepFailed) as failure:
        fitting_keys(identity, Encryption(age=recipients), "s3://backups/run")
    (wrong,) = failure.value.findings
    assert wrong.code == "backup-key-lost"
    assert wrong.title.endswith(": s3://backups/run")
    assert "AGE-SECRET-KEY" not in f"{wrong} {failure.value.message}"
    return wrong.measured


def test_each_of_several_recipients_has_a_key_that_fits(tmp_path, key):
    other = keys.made(tmp_path, "other")
    rule = Encryption(age=(key.recipient, other.recipient))
    (first,), (second,) = (fitting_keys(one.identity, rule, "s3://backups/run") for one in (key, other))
    pyrage = library("pyrage")
    text = pyrage.encrypt(b"orders", [pyrage.x25519.Recipient.from_str(one) for one in rule.age])
    assert decrypted(text, [first], "orders") == decrypted(text, [second], "orders") == b"orders"


def test_a_file_of_several_keys_fits_with_any_of_them(tmp_path, key):
    both = tmp_path / "both.txt"
    both.write_text(keys.made(tmp_path, "other").identity.reveal() + "\n" + key.identity.reveal())
    assert len(fitting_keys(Secret(source="file", name=str(both)), Encryption(age=(key.recipient,)), "x")) == 2


def test_a_key_that_is_not_at_hand_is_lost(tmp_path, key):
    assert "sets no `identity`" in lost(None, key.recipient)
    assert "NO_SUCH_KEY is not set" in lost(Secret(source="env", name="NO_SUCH_KEY"), key.recipient)
    (tmp_path / "empty").write_text(f"# public key: {key.recipient}\n")
    assert "contains no secret key of age" in lost(Secret(source="file", name=str(tmp_path / "empty")), key.recipient)
    assert key.recipient in lost(key.identity, keys.made(tmp_path, "other").recipient)


def test_the_public_key_in_a_file_of_keys_is_no_secret(key):
    """The key is also in the inventory, in which a run refuses secrets as plain text."""
    rule = {"kind": "s3", "host": "here", "endpoint": "http://x", "bucket": "b"}
    access = {"access_key": Secret(source="env", name="X"), "secret_key": Secret(source="env", name="X")}
    store = S3(**rule, **access, encrypt={"age": [key.recipient]}, identity=Secret(source="file", name=key.identity.name))
    value = store.identity.reveal()
    assert value.startswith("AGE-SECRET-KEY-1")
    assert key.recipient not in value
    assert Redactor([value]).text(key.recipient) == key.recipient


def test_a_store_without_a_rule_is_written_as_before(key):
    """The digests of existing plans do not change."""
    access = {"access_key": Secret(source="env", name="X"), "secret_key": Secret(source="env", name="X")}
    store = S3(name="x", host="here", endpoint="http://x", bucket="b", **access)
    assert not {"keep", "encrypt", "identity"} & store.model_dump().keys()
    assert TarSource(name="x", host="here", at="/x").model_dump().keys().isdisjoint({"identity"})


def test_a_controller_without_the_package_is_not_ready(key, monkeypatch):
    rule = Encryption(age=(key.recipient,))
    monkeypatch.setitem(sys.modules, "pyrage", None)
    refused_until(lambda: need_library(rule), "the package pyrage is missing", monkeypatch.undo)


def test_a_recipient_with_a_typing_error_is_not_ready(key):
    last = "q" if key.recipient[-1] != "q" else "p"
    with pytest.raises(NotReady, match="is not a valid recipient of age"):
        need_library(Encryption(age=(key.recipient[:-1] + last,)))
    need_library(Encryption(age=(key.recipient,)))


def test_what_age_encrypted_is_read_and_what_is_damaged_is_told(key):
    argv = [need("age"), "-r", key.recipient]
    text = subprocess.run(argv, input=b"orders", capture_output=True, check=True).stdout
    given = fitting_keys(key.identity, Encryption(age=(key.recipient,)), "x")
    assert decrypted(text, given, "orders.json") == b"orders"
    with pytest.raises(StepFailed) as failure:
        decrypted(text[:-1], given, "orders.json")
    assert [one.code for one in failure.value.findings] == ["backup-damaged"]
