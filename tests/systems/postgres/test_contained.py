"""Sandboxes of PostgreSQL whose server runs as another user than the SSH user, and sandboxes in a container without a
network.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, LabError, NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.lab.containers import control
from drillbook.sdk.host import Target
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Admin
from drillbook.systems.postgres.source import PgDumpSource
from tests.needs import docker_engine, missing, need
from tests.systems.backup.test_killed import drillbook, until
from tests.systems.estate import codes
from tests.systems.ground import is_root
from tests.systems.postgres import dumps, fixtures
from tests.systems.postgres.dumps import DEBIAN_17
from tests.systems.postgres.site import Site
from tests.systems.refusals import refused_until

pytestmark = pytest.mark.skipif(not is_root(), reason="only root has other users")
place = fixtures.place
DAEMON = 1
FILES = Path(__file__).parents[3] / "lab"


@pytest.fixture(scope="module")
def image():
    """The image of the lab's database machine: Debian's PostgreSQL 17."""
    docker_engine()
    try:
        return f"drillbook-lab/db:{control.build(FILES)}"
    except LabError as error:
        missing(f"the images of the Docker lab cannot be built: {error.message}")


@pytest.fixture(scope="module")
def source(place, tmp_path_factory):
    """Server of version 17 with a table, and its dumps, which only root can read."""
    if not (DEBIAN_17 / "initdb").exists():
        missing("PostgreSQL 17 of Debian is not installed")
    folder = tmp_path_factory.mktemp("dumps")
    cluster = place.place("production", bin=dumps.programs_17(place.folder / "bin17"))
    cluster.create()
    cluster.start()
    cluster.sql("CREATE DATABASE shop", database="postgres")
    cluster.sql(
        "CREATE ROLE clerk LOGIN", "CREATE TABLE t AS SELECT g AS id, md5(g::text) FROM generate_series(1, 9999) AS g"
    )
    made = dumps.Source(cluster, folder)
    (folder / "custom").mkdir(mode=0o700)
    (folder / "custom" / "shop.dump").write_bytes(made.dump("--format=custom"))
    (folder / "folders").mkdir(mode=0o700)
    made.folder_dump("folders/shop", "--compress=none")
    (folder / "plain").mkdir(mode=0o700)
    (folder / "plain" / "shop.sql.gz").write_bytes(dumps.packed(made.dump(), "gzip"))
    return made


class Rehearsal:
    """Sandbox whose server runs as nobody; the test's restore is undone at the end."""

    def __init__(self, place: Site, source: dumps.Source, name: str, **sandbox) -> None:
        self.place, self.name = place, f"copy-{uuid.uuid4().hex[:6]}"
        self.folder = Path(f"/var/tmp/drillbook-test-{self.name}")
        given = {"folder": str(self.folder), "data_may_leave": True, **sandbox}
        fields = {"password": None, "admin": Admin(user="postgres"), "bin": str(DEBIAN_17)}
        self.copy = place.place(self.name, run_as="nobody", sandbox=given, **fields).service
        place.extra["nightly"] = PgDumpSource(
            name="nightly", host="db-1", at=str(source.folder / name), bin=source.cluster.service.bin
        )
        self.ctx = place.context(step="restore.1")
        self.action = place.action("backup.restore", service=self.name, **{"from": "nightly"})

    def restore(self):
        self.action.ready(self.ctx)
        return self.action.run(self.ctx)

    def ask(self, query):
        with connected(self.ctx, self.copy) as session:
            return session.execute(query).fetchall()

    def end(self):
        for argv in self.action.undo(self.ctx).commands:
            self.place.host.run(argv, deadline=self.ctx.deadline).check()
        assert not self.folder.exists()
        assert not self.action.active(self.ctx)
        self.place.clusters.pop(self.name, None)


@pytest.fixture
def rehearsal(place, source):
    made = []

    def make(name="custom", **sandbox):
        made.append(Rehearsal(place, source, name, **sandbox))
        return made[-1]

    yield make
    for one in made:
        one.end()


def owner(path: Path) -> int:
    return path.stat().st_uid


@pytest.mark.parametrize("name", ["custom", "folders", "plain"])
def test_files_reach_the_folder_of_another_user(rehearsal, name):
    need("unshare")
    made = rehearsal(name)
    assert made.restore()["database"] == "shop"
    assert made.ask("SELECT count(*) FROM t") == [(9999,)]
    assert {owner(made.folder), owner(made.folder / "data")} == {65534}
    assert not [path for path in made.folder.iterdir() if "shop" in path.name], "the copy of the dump is removed"


def test_the_output_of_a_command_reaches_it_too(place, source, rehearsal):
    made = rehearsal()
    dump = source.folder / "custom" / "shop.dump"
    place.extra["nightly"] = place.extra["nightly"].model_copy(update={"at": ("cat", str(dump))})
    made.ctx = place.context(step="restore.1")
    made.restore()
    assert made.ask("SELECT count(*) FROM t") == [(9999,)]


def test_root_needs_no_sudo(rehearsal, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="drillbook-test-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"):
            for program in Path(folder).iterdir():
                if program.name != "sudo":
                    with suppress(FileExistsError):
                        (Path(name) / program.name).symlink_to(program)
        monkeypatch.setenv("PATH", name)
        assert shutil.which("sudo") is None
        made = rehearsal()
        made.restore()
        assert made.ask("SELECT count(*) FROM t") == [(9999,)]
        made.end()


class Sudoer(LocalHost):
    """This machine with the user daemon, who may only run commands as nobody through sudo."""

    def __init__(self, target: Target, rules: Path) -> None:
        super().__init__(target=target)
        script = (
            f'mount --bind {rules} /etc/sudoers && exec setpriv --reuid={DAEMON} --regid={DAEMON} --clear-groups -- "$@"'
        )
        self.prefix = ("unshare", "--mount", "sh", "-c", script, "sh")

    def run(self, argv, **options):
        return super().run((*self.prefix, *argv), **options)


@pytest.fixture
def sudoer(place, source):
    """The host of the site for an ordinary user with sudo, who owns the dumps."""
    for tool in ("sudo", "setfacl", "unshare"):
        need(tool)
    home = Path(f"/var/tmp/drillbook-test-{uuid.uuid4().hex[:8]}")
    home.mkdir(mode=0o755)
    rules = home / "sudoers"
    rules.write_text("Defaults env_reset\ndaemon ALL=(nobody) NOPASSWD: ALL\n")
    rules.chmod(0o440)
    (home / "scratch").mkdir()
    shutil.copytree(source.folder / "custom", home / "custom")
    for path in (home / "scratch", home / "custom", home / "custom" / "shop.dump"):
        os.chown(path, DAEMON, DAEMON)
        path.chmod(0o700)
    plain, place.host = place.host, Sudoer(Target(name="db-1", local=True, scratch=str(home / "scratch")), rules)
    yield home
    place.host = plain
    shutil.rmtree(home)


def test_an_ordinary_user_restores_by_sudo_and_alone_opens_the_socket(place, sudoer, rehearsal):
    made = rehearsal()
    place.extra["nightly"] = place.extra["nightly"].model_copy(update={"at": str(sudoer / "custom"), "bin": str(DEBIAN_17)})
    made.ctx = place.context(step="restore.1")
    made.restore()
    assert made.ask("SELECT count(*) FROM t") == [(9999,)]
    dial = f"import socket; socket.socket(socket.AF_UNIX).connect({made.copy.socket!r})"
    assert place.host.run(("/usr/bin/python3", "-c", dial), deadline=made.ctx.deadline).ok
    other = ["setpriv", "--reuid=2", "--regid=2", "--clear-groups", "--", "/usr/bin/python3", "-c", dial]
    assert b"PermissionError" in subprocess.run(other, capture_output=True, check=False).stderr


def containers(name: str = "") -> list[str]:
    argv = ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"label=drillbook.sandbox={name}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("name", ["custom", "folders", "plain"])
def test_a_container_restores_and_sees_nothing_but_its_folder(rehearsal, image, name):
    made = rehearsal(name, isolation="container", image=image, memory="512MiB")
    facts = made.restore()
    assert (facts["isolation"], facts["budget"]["memory_bytes"]) == ("container", 512 << 20)
    assert facts["budget"]["kept_by"]["memory"] == "control group of the container"
    assert any(address.startswith("127.0.0.1:") for address in facts["unreachable"])
    assert made.ask("SELECT count(*) FROM t") == [(9999,)]
    dump = Tools.of(made.ctx, made.copy).client("pg_dump", "--schema-only")
    assert b"CREATE TABLE public.t" in dump.stdout, "programs for a later step run in the container"
    (container,) = containers(str(made.folder))
    (state,) = json.loads(subprocess.run(["docker", "inspect", container], check=True, capture_output=True).stdout)
    host = state["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["Memory"]) == ("none", True, 512 << 20)
    assert (host["CapDrop"], host["PidsLimit"] > 0) == (["ALL"], True)
    assert {mount["Source"] for mount in state["Mounts"] if mount["Type"] == "bind"} == {
        str(made.folder),
        f"{made.folder}/passwd",
    }
    made.end()
    assert containers(str(made.folder)) == []


def test_two_containers_of_one_name_never_exist(place, rehearsal, image):
    made = rehearsal(isolation="container", image=image)
    made.restore()
    other = place.context(step="restore.1")
    with pytest.raises(NotReady, match=f"the run {made.ctx.run_id} created it"):
        made.action.ready(other)
    with pytest.raises(StepFailed) as failure:
        made.action.run(other)
    assert codes(failure) == ["restore-target"]
    for argv in made.action.undo(other).commands:
        subprocess.run(argv, check=True)
    assert made.ask("SELECT count(*) FROM t") == [(9999,)], "the other run removed nothing"


def test_memory_that_the_kernel_refuses_is_told(rehearsal, image):
    made = rehearsal("plain", isolation="container", image=image, memory="16MiB")
    with pytest.raises(StepFailed) as failure:
        made.restore()
    assert codes(failure) == ["sandbox-too-small"]


def test_an_image_that_is_not_there_is_told_before(rehearsal):
    docker_engine()
    made = rehearsal(isolation="container", image="drillbook-test/no-such-image:1")
    with pytest.raises(NotReady, match="pull the image there before"):
        made.action.ready(made.ctx)


def test_a_dump_that_the_programs_of_the_image_do_not_know_is_told_before(source, rehearsal, image):
    """Archive of a future version: the host decompresses its beginning, and pg_restore of the image checks it."""
    data = (source.folder / "custom" / "shop.dump").read_bytes()
    assert data[:6] == b"PGDMP\x01"
    (source.folder / "future").mkdir(mode=0o700, exist_ok=True)
    file = source.folder / "future" / "shop.dump.gz"
    file.write_bytes(dumps.packed(data[:6] + b"\x63" + data[7:], "gzip"))
    made = rehearsal("future", isolation="container", image=image)
    with pytest.raises((StepFailed, CouldNotVerify), match=r"unsupported version|pg_restore"):
        made.action.run(made.ctx)
    made.end()

    def mend():
        file.unlink()
        file.with_suffix("").write_bytes(data)

    refused_until(lambda: made.action.ready(made.ctx), r"pg_restore is too old for the dump .* unsupported version", mend)


def test_root_alone_is_told_to_name_another_user(place, rehearsal, image):
    made = rehearsal(isolation="container", image=image)
    place.clusters[made.name].service = made.copy.model_copy(update={"run_as": ""})
    refused_until(
        lambda: made.action.ready(place.context(step="restore.1")),
        "would run PostgreSQL as root",
        lambda: setattr(place.clusters[made.name], "service", made.copy),
    )


INVENTORY = """
environment: lab
hosts:
  spare: {{local: true, scratch: {root}/scratch, state: {root}/state, lease: {{boot: none}}}}
services:
  copy:
    {{kind: postgres, host: spare, run_as: nobody, database: shop, user: clerk, admin: {{user: postgres}},
      bin: /usr/lib/postgresql/17/bin, data_directory: /none,
      sandbox: {{isolation: container, image: "{image}", data_may_leave: true, folder: "{box}"}}}}
backups:
  slow: {{kind: pg_dump, host: spare, at: [sh, -c, "test -e {root}/read || exec touch {root}/read; touch {root}/begun; sleep 600"]}}
"""
DRILL = """
drill: rehearse
title: The dump restores
service: slow
guard: {environments: [lab], lease: 5s}
objectives: {}
restore:
  - backup.restore: {service: copy, from: slow}
verify:
  - backup.list: {service: slow}
"""


def test_the_host_removes_the_container_of_a_dead_controller(tmp_path, image):
    """The run starts the command for the beginning of the dump first, and the restore starts it again."""
    box = Path(f"/var/tmp/drillbook-test-{uuid.uuid4().hex[:8]}")
    for name in ("drills", "inventory", "scratch", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "inventory" / "lab.yml").write_text(INVENTORY.format(root=tmp_path, box=box, image=image))
    (tmp_path / "drills" / "rehearse.yml").write_text(DRILL)
    argv, options = drillbook(tmp_path, "drill", "rehearse")
    with subprocess.Popen(argv, **options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        try:
            assert until((tmp_path / "begun").exists), child.stdout.read()
            assert containers(str(box))
        finally:
            os.kill(child.pid, signal.SIGKILL)
    assert until(lambda: not box.exists() and not containers(str(box))), "the lease ran out long ago"
    (run,) = (tmp_path / "reports").glob("*-rehearse-*")
    done = subprocess.run(
        [sys.executable, "-m", "drillbook.cli", "drill.recover", run.name], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "residue" not in json.dumps(json.loads((run / "result.json").read_text())["findings"])
