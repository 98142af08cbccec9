"""Encryption of files by the program age on a host: streamed, without keys in arguments or remaining plain text."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.encryption import Encryption
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.host_encryption import decrypt, encrypt, need_age
from drillbook.sdk.transfer import PART_LEAST, Carrier
from tests import keys
from tests.needs import need
from tests.systems.ground import path_without
from tests.systems.refusals import refused_until

BLOCK = 64 << 10
"""Bytes of plain text in each block of age. Source: https://age-encryption.org/v1."""


@pytest.fixture
def key(tmp_path):
    need("age")
    return keys.made(tmp_path)


@pytest.fixture
def carrier(tmp_path):
    (tmp_path / "scratch").mkdir()
    host = LocalHost(target=Target(name="here", local=True, scratch=str(tmp_path / "scratch")))
    return Carrier(host, Deadline.after(60), str(tmp_path / "scratch"))


def planted(root: Path) -> dict[str, bytes]:
    files = {"empty": b"", "text": b"orders\n", "sub/blocks": os.urandom(2 * BLOCK), "large": os.urandom(PART_LEAST + 5)}
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return files


def sealed(carrier, key, root):
    return encrypt(carrier, str(root), carrier.survey(str(root), PART_LEAST), Encryption(age=(key.recipient,)), PART_LEAST)


def opened(carrier, key, root, found, **options):
    secret = key.identity.reveal().splitlines()[-1]
    pairs = [(f"{root}/{one.name}", f"{root}/{one.content.name}") for one in found]
    decrypt(carrier.host, carrier.deadline, [secret], pairs, **options)


def below(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_files_are_replaced_by_their_cipher_text_and_come_back(tmp_path, carrier, key):
    root = tmp_path / "files"
    files = planted(root)
    plain = carrier.survey(str(root), PART_LEAST)
    found = sealed(carrier, key, root)
    assert below(root) == sorted(f"{name}.age" for name in files) == [one.name for one in found]
    assert sorted((one.content for one in found), key=lambda one: one.name) == plain
    assert {one.name.removesuffix(".age"): key.opened((root / one.name).read_bytes()) for one in found} == files
    assert len(next(one for one in found if one.name == "large.age").parts) == 2
    opened(carrier, key, root, found)
    assert {name: (root / name).read_bytes() for name in below(root)} == files


def test_no_secret_key_is_in_an_argument_or_in_the_environment(tmp_path, carrier, key, monkeypatch):
    seen, tools = tmp_path / "seen", tmp_path / "tools"
    tools.mkdir()
    (tools / "age").write_text(f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} >> {seen}\nexec {shutil.which("age")} "$@"\n')
    (tools / "age").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    root = tmp_path / "files"
    planted(root)
    opened(carrier, key, root, sealed(carrier, key, root))
    text = seen.read_text()
    assert key.recipient in text
    assert "--decrypt" in text
    assert "AGE-SECRET-KEY" not in text


def cut(count):
    return lambda data: data[:count]


def flipped(place):
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        *((cut(count), "backup-damaged") for count in (0, 10, 100, 190, 216 + BLOCK, 216 + BLOCK + 16, -1)),
        *((flipped(place), "backup-damaged") for place in (3, 175, 230, BLOCK, -1)),
        (lambda data: data + b"\n", "backup-damaged"),
        (lambda data: b"no file of age\n" + data, "backup-damaged"),
    ],
)
def test_damaged_cipher_text_is_told_and_nothing_of_it_stays_in_the_clear(tmp_path, carrier, key, change, code):
    root = tmp_path / "files"
    planted(root)
    found = [one for one in sealed(carrier, key, root) if one.name == "sub/blocks.age"]
    path = root / "sub" / "blocks.age"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StepFailed) as failure:
        opened(carrier, key, root, found)
    (wrong,) = failure.value.findings
    assert wrong.code == code
    assert wrong.title.endswith(": blocks.age")
    assert not (root / "sub" / "blocks").exists()


def test_a_key_that_does_not_fit_is_lost(tmp_path, carrier, key):
    root = tmp_path / "files"
    planted(root)
    with pytest.raises(StepFailed) as failure:
        opened(carrier, keys.made(tmp_path, "other"), root, sealed(carrier, key, root))
    assert [one.code for one in failure.value.findings] == ["backup-key-lost"]
    assert [name for name in below(root) if not name.endswith(".age")] == []


def test_a_place_that_takes_no_file_is_no_damage(tmp_path, carrier, key):
    root = tmp_path / "files"
    planted(root)
    sealed(carrier, key, root)
    secret = key.identity.reveal().splitlines()[-1]
    with pytest.raises(StepFailed, match=r"age did not decrypt text\.age") as failure:
        decrypt(carrier.host, carrier.deadline, [secret], [(f"{root}/text.age", f"{root}/no/such/folder")])
    assert failure.value.findings == ()


def test_a_host_that_cannot_transfer_is_not_ready(carrier, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", "python3"))
    python = tmp_path / "bin" / "python3"
    refused_until(
        carrier.tool,
        r"needs python3 \(3.7 or later\), or both curl and sha256sum",
        lambda: python.symlink_to(sys.executable),
    )


def test_a_host_without_age_is_not_ready(carrier, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "env", "cat"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    age = need("age")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(NotReady, match="has no program age"):
        decrypt(carrier.host, carrier.deadline, ["x"], [])
    refused_until(
        lambda: need_age(carrier.host, carrier.deadline),
        "has no program age, which is needed for encrypted backups",
        lambda: (tmp_path / "bin" / "age").symlink_to(age),
    )
