"""Commands of a runbook that restore a backup by hand: on one machine, without secrets on the page, for each kind of place."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import jmespath
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


LISTED = [("d-old.tgz", "10:00:00"), ("d-new.tgz", "11:30:00"), ("note.txt", "11:00:00"), ("d-last.tgz", "12:00:00")]


@pytest.mark.parametrize("form", ["{}.000Z", "{}+00:00"], ids=["as-sent", "as-of-version-2"])
@pytest.mark.parametrize(
    ("at", "key"),
    [
        ("latest", "d-last.tgz"),
        ("2026-11-30T11:59:59.5Z", "d-new.tgz"),
        ("2026-11-30T12:30:00+01:00", "d-new.tgz"),
        ("2026-11-30T11:29:59Z", "d-old.tgz"),
        ("2026-11-30T09:00:00Z", None),
    ],
)
def test_the_object_of_the_selected_time_is_copied_from_a_bucket(tmp_path, at, key, form):
    """The AWS client filters its list by JMESPath, where times are text in UTC."""
    [typed] = commands(page(tmp_path, '{kind: tar, host: here, at: "s3://saved/", pattern: "*.tgz"}', at))
    line = next(line for line in typed.splitlines() if line.startswith("key="))
    words = shlex.split(line.removeprefix("key=$(").removesuffix(")"))
    listing = {"Contents": [{"Key": name, "LastModified": form.format(f"2026-11-30T{time}")} for name, time in LISTED]}
    assert jmespath.search(words[words.index("--query") + 1], listing) == key


IN_PLACE = """\
environment: staging
hosts:
  here: {local: true, manager: {kind: supervisor, config: /etc/s.conf, sudo: true}}
services:
  folder: {kind: folder, host: here, path: PLACE/site}
  postgres: {kind: postgres, host: here, unit: db, database: shop, user: u, data_directory: /srv/data, admin: {user: postgres}}
  mariadb: {kind: mariadb, host: here, unit: db, database: shop, data_directory: /srv/data}
  redis: {kind: redis, host: here, unit: db, data_directory: /srv/data}
backups:
"""


def in_place(tmp_path, target, source):
    hosts = IN_PLACE.replace("PLACE", str(tmp_path))
    return restores_by_hand.page(tmp_path, hosts, f"{{host: here, service: {target}, {source}}}", target=target)


@pytest.fixture
def site(tmp_path):
    """Folder of a service with damaged content, and the new folder of its restore."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_text("damaged")
    new = Path(f"/var/tmp/by-hand-folder-{restores_by_hand.SOURCE}")
    shutil.rmtree(new, ignore_errors=True)
    yield tmp_path / "site"
    shutil.rmtree(new, ignore_errors=True)


@pytest.mark.parametrize("form", ["dot", "folder", "path"])
def test_a_restore_in_place_ends_with_the_copy_in_its_service(tmp_path, site, form):
    whole = tmp_path / "whole" / "site"
    whole.mkdir(parents=True)
    (whole / "page").write_text("whole")
    (tmp_path / "place").mkdir()
    words = {
        "dot": ["-C", whole, "."],
        "folder": ["-C", whole.parent, "site"],
        "path": ["-C", "/", f"--transform=s,{str(whole).lstrip('/')},{str(site).lstrip('/')},", str(whole).lstrip("/")],
    }
    subprocess.run(["tar", "-czf", tmp_path / "place" / "d.tgz", *words[form]], check=True)
    restore, move = commands(in_place(tmp_path, "folder", f'kind: tar, at: "{tmp_path}/place", pattern: "*.tgz"'))
    subprocess.run(["bash", "-e", "-c", restore], check=True, capture_output=True)
    assert (site / "page").read_text() == "damaged", "the restore changes nothing"
    if form == "dot":
        said = subprocess.run(["bash", "-c", move], check=False, capture_output=True, text=True).stdout
        assert ((site / "page").read_text(), len(list(tmp_path.glob("site*")))) == ("damaged", 1), "it could be anything"
        move = f"{re.search(r'type (content=[^ ]+) and', said)[1]}\n{move}"
    subprocess.run(["bash", "-e", "-c", move], check=True, capture_output=True)
    assert [path.name for path in site.iterdir()] == ["page"]
    assert (site / "page").read_text() == "whole"
    assert (tmp_path / "site.before-restore" / "page").read_text() == "damaged"
    subprocess.run(["bash", "-c", move], check=False, capture_output=True)
    assert ((site / "page").read_text(), len(list(tmp_path.glob("site*")))) == ("whole", 2), "a second time changes nothing"


def test_a_snapshot_of_restic_ends_in_its_service_too(tmp_path, site, monkeypatch):
    need("restic")
    monkeypatch.setenv("RESTIC_PASSWORD", "hunter2")
    (site / "page").write_text("whole")
    for argv in (["init"], ["backup", str(site)]):
        subprocess.run(["restic", "--repo", tmp_path / "repo", *argv], check=True, capture_output=True)
    (site / "page").write_text("damaged")
    source = f'kind: restic, repository: "{tmp_path}/repo", password: !env RESTIC_PASSWORD, paths: ["{site}"]'
    restore, move = commands(in_place(tmp_path, "folder", source))
    subprocess.run(["bash", "-e", "-c", restore], check=True, capture_output=True, input="hunter2\n", text=True)
    subprocess.run(["bash", "-e", "-c", move], check=True, capture_output=True)
    assert (site / "page").read_text() == "whole"
    assert (tmp_path / "site.before-restore" / "page").read_text() == "damaged"


@pytest.mark.parametrize("there", [False, True], ids=["no backup", "a damaged one"])
def test_a_copy_that_was_not_restored_moves_nothing(tmp_path, site, there):
    (tmp_path / "place").mkdir()
    if there:
        archive(tmp_path / "made" / "d.tgz", "whole " * 9999, 60)
        (tmp_path / "place" / "d.tgz").write_bytes((tmp_path / "made" / "d.tgz").read_bytes()[:-30])
    for typed in commands(in_place(tmp_path, "folder", f'kind: tar, at: "{tmp_path}/place", pattern: "*.tgz"')):
        subprocess.run(["bash", "-c", typed], check=False, capture_output=True)
    assert ((site / "page").read_text(), len(list(tmp_path.glob("site*")))) == ("damaged", 1)


@pytest.mark.parametrize(
    ("target", "source", "said"),
    [
        ("redis", "kind: redis_rdb, at: /b, pattern: '*.rdb'", "/data/dump.rdb to /srv/data under the name in `dbfilename`"),
        ("mariadb", "kind: mariadb_dump, at: /b, pattern: '*.sql'", "create the accounts again"),
        ("mariadb", "kind: mariabackup, at: /b", "chown -R mysql:mysql"),
        ("postgres", "kind: pgbackrest, stanza: main, config: /b.conf", "--stanza=main --type=full backup"),
    ],
)
def test_the_way_into_the_service_is_told_where_no_command_can_go_it(tmp_path, target, source, said):
    text = in_place(tmp_path, target, source)
    told = next(line for line in text.splitlines() if "then put the restored data into the service" in line)
    steps = [
        told.index(one) for one in ("(1) stop the service (`sudo -n supervisorctl", "/srv/data", "start the service (`sh -c")
    ]
    assert steps == sorted(steps)
    assert said in told
    assert f"by-hand-{target}-{restores_by_hand.SOURCE}" in told


def test_a_rehearsal_moves_nothing(tmp_path):
    assert "then, " not in page(tmp_path, "{kind: tar, host: here, at: /b, pattern: '*.tgz'}")
