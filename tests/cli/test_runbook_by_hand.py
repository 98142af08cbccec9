"""Commands of a runbook that restore a backup by hand: on one machine, without secrets on the page, for each kind of place."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli import restores_by_hand
from tests.cli.restores_by_hand import commands
from tests.needs import need

HOSTS = """\
environment: staging
hosts:
  here: {local: true}
  away: {address: away.example.org, port: 2222, user: drill, gateway: jump, identity: /keys/a b}
  jump: {address: jump.example.org, user: hop}
services:
  copy: {kind: folder, host: here, sandbox: {data_may_leave: true}}
  store: {kind: s3, host: here, endpoint: "http://127.0.0.1:9", bucket: saved, access_key: !env KEY, secret_key: !env SECRET}
backups:
"""


def page(tmp_path, source, at="latest"):
    return restores_by_hand.page(tmp_path, HOSTS, source, target="copy", at=at)


@pytest.fixture
def folder():
    path = Path(f"/var/tmp/by-hand-copy-{restores_by_hand.SOURCE}")
    made = (path, Path(f"{path}.backup"))
    for one in made:
        shutil.rmtree(one, ignore_errors=True)
    yield path
    for one in made:
        shutil.rmtree(one, ignore_errors=True)


def archive(path, content, age_s):
    path.parent.mkdir(exist_ok=True)
    (path.parent / "file").write_text(content)
    subprocess.run(["tar", "-czf", path, "-C", path.parent, "file"], check=True)
    subprocess.run(["touch", "-d", f"-{age_s} seconds", path], check=True)


@pytest.mark.parametrize(("at", "content"), [("latest", "new"), ("d-old.tgz", "old"), ("before", "old")])
def test_backups_on_the_same_machine(tmp_path, folder, at, content):
    archive(tmp_path / "place with space" / "d-old.tgz", "old", 7200)
    archive(tmp_path / "place with space" / "d-new.tgz", "new", 60)
    (tmp_path / "place with space" / "a note").write_text("newer than all")
    if at == "before":
        done = subprocess.run(["date", "-Is", "-d", "1 hour ago"], capture_output=True, text=True, check=True)
        at = done.stdout.strip()
    text = page(tmp_path, f'{{kind: tar, host: here, at: "{tmp_path}/place with space", pattern: "d-*.tgz"}}', at)
    [typed] = commands(text)
    subprocess.run(["bash", "-e", "-c", typed], check=True, capture_output=True)
    assert (folder / "data" / "file").read_text() == content


def test_an_encrypted_backup_that_a_secret_command_prints(tmp_path, folder):
    """The page names the source of the secret key, and asks for it."""
    need("age")
    archive(tmp_path / "place" / "d.tar.gz", "secret", 60)
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    recipient = re.search(r"public key: (\S+)", made.stdout + made.stderr)[1]
    key = re.search(r"AGE-SECRET-KEY-\S+", made.stdout)[0]
    plain, locked = tmp_path / "place" / "d.tar.gz", tmp_path / "place" / "d.tar.gz.age"
    subprocess.run(["age", "-r", recipient, "-o", locked, plain], check=True)
    source = f'{{kind: tar, host: here, at: {tmp_path}/place, pattern: "*.tar.gz.age", identity: !env AGE_KEY}}'
    [typed] = commands(page(tmp_path, source))
    assert "AGE_KEY" in typed
    assert key not in typed
    subprocess.run(["bash", "-e", "-c", typed], check=True, capture_output=True, input=f"{key}\n", text=True)
    assert (folder / "data" / "file").read_text() == "secret"


def test_backups_of_another_host_come_through_the_controller(tmp_path):
    first, second = commands(page(tmp_path, '{kind: tar, host: away, at: "/var/backups", pattern: "*.tgz"}'))
    assert first.startswith("ssh -J hop@jump.example.org -p 2222 -i '/keys/a b' drill@away.example.org '")
    assert "tar -xpf" in second


def test_a_password_stands_nowhere_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv("REPO_PASSWORD", "hunter2")
    source = (
        '{kind: restic, host: here, repository: "rest:https://u:hunter3@example.org/", password: !env REPO_PASSWORD, '
        "paths: [/srv], env: {TOKEN: !env REPO_PASSWORD}}"
    )
    [typed] = commands(page(tmp_path, source))
    assert "hunter" not in typed
    assert [line.split()[0] for line in typed.splitlines() if "RESTIC_" in line or "TOKEN" in line] == ["read"] * 3
    assert "!env REPO_PASSWORD" in typed


def test_backups_in_a_bucket(tmp_path):
    [typed] = commands(page(tmp_path, '{kind: tar, host: here, at: "s3://saved/site/", pattern: "*.tgz"}'))
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:9" in typed
    assert "--bucket saved --prefix site/" in typed
    assert "ends_with(Key, '\"'\"'.tgz'\"'\"')" in typed
