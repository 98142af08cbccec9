"""Free space of a host, its env files, names and routes: on this machine, with real failures."""

import http.server
import json
import shutil
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.systems.http.actions.reading.responses import Health
from drillbook.systems.linux.actions.host import Disk, Memory, OomKills
from drillbook.systems.linux.actions.net import Resolve, Route
from drillbook.systems.units.actions.env import Matches
from tests.diagnosis.test_trees import Site
from tests.e2e.field import fill, small_disk
from tests.needs import need
from tests.ports import free_port
from tests.systems.ground import PLAIN, path_without
from tests.systems.refusals import refused_until

TEMPLATE = "# the API\nDATABASE_URL=\nexport REDIS_URL=\nDEBUG=''\n# optional: SENTRY_DSN=\n"


def test_a_path_that_is_absent_refuses_a_look_at_its_disk(ground):
    action = Disk(path=f"{ground.root}/mounted")
    with pytest.raises(HostError, match="No such file"):
        action.run(ground.ctx())
    told = []
    action.ready(replace(ground.ctx(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]
    make = (ground.root / "mounted").mkdir
    refused_until(lambda: action.ready(ground.ctx()), "`df` cannot examine .*/mounted: .*No such file", make)
    assert action.run(ground.ctx())["filesystems"]
    Disk().ready(ground.ctx())


def test_disk(ground):
    found = Disk(path=str(ground.scratch)).run(ground.ctx())
    assert len(found["filesystems"]) == 1
    one = found["filesystems"][0]
    assert one["bytes"] > one["free_bytes"] > 0
    assert found["free_bytes"] == one["free_bytes"]
    assert 0 <= found["used_percent"] <= 100


def test_what_no_service_writes_to_is_not_full(tmp_path):
    """An image of a package is always full, which is normal; a full /boot does not affect a service, either."""
    site = Site(tmp_path)
    host = site.hosts["controller"]
    rows = {
        "-k": (
            "/dev/sda 1000 400 600 40% /",
            "/dev/loop0 500 500 0 100% /snap",
            "/dev/sdb 90 89 1 99% /boot",
            "shm 9 9 0 100% /dev/shm",
        ),
        "-i": ("/dev/sda 10 2 8 20% /", "/dev/loop0 5 5 0 100% /snap", "/dev/sdb 9 2 7 22% /boot"),
    }
    for word, lines in rows.items():
        host.on(("env", "LC_ALL=C", "df", "-P", word), "\n".join(["heading", *lines]))
    host.on(("cat", "/proc/mounts"), "/dev/sda / ext4 rw,errors=remount-ro 0 0\n/dev/loop0 /snap squashfs ro,nodev 0 0\n")
    found = Disk().run(site.ctx())
    assert [(one["mount"], one["read_only"]) for one in found["filesystems"]] == [
        ("/", False),
        ("/snap", True),
        ("/boot", False),
    ]
    assert (found["fullest"], found["used_percent"], found["inodes_percent"]) == ("/", 40, 20)


def test_memory_that_is_mounted_is_no_disk_of_a_service(tmp_path, ground):
    """A small file system in memory is filled, with any device name: this affects no service."""
    with small_disk(tmp_path / "a small disk", 1) as folder:
        fill(folder)
        found = Disk().run(ground.ctx())
        assert str(folder) not in [one["mount"] for one in found["filesystems"]], found
        assert Disk(path=str(folder)).run(ground.ctx())["used_percent"] == 100, "whoever names it is told"


def test_a_path_that_is_not_there(ground):
    with pytest.raises(Exception, match="No such file"):
        Disk(path="/nowhere/at/all").run(ground.ctx())


def test_memory(ground):
    found = Memory().run(ground.ctx())
    assert found["total_bytes"] > found["available_bytes"] > 0


def test_oom_kills(ground):
    try:
        found = OomKills().run(ground.ctx())
    except CouldNotVerify:
        return  # neither counter nor log may be read here, and it says so
    assert found["kills"] is None or found["kills"] >= 0
    assert OomKills(process="no-such-process-name").run(ground.ctx())["events"] == []


def test_a_kernel_log_that_cannot_be_read_is_not_verified(ground, monkeypatch):
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", "dmesg", "journalctl"))
    told = []
    context = replace(ground.ctx(), doubt=told.append)
    OomKills().ready(context)
    assert ["the kernel's log, which cannot be read: install dmesg" in text for text in told] == [True]
    assert OomKills().run(ground.ctx())["log_read"] is False
    (ground.root / "bin" / "dmesg").write_text("#!/bin/sh\necho '[    1.5] Killed process 7 (it)'\n")
    (ground.root / "bin" / "dmesg").chmod(0o755)
    told.clear()
    OomKills().ready(context)
    assert told == []
    assert OomKills().run(ground.ctx())["log_read"] is True


def env(ground, text, template=TEMPLATE):
    (ground.root / "template").write_text(template)
    if text is not None:
        (ground.root / "env").write_text(text)
    return Matches(file=str(ground.root / "env"), template=str(ground.root / "template")).run(ground.ctx())


def test_an_env_file_that_is_complete(ground):
    found = env(ground, "DATABASE_URL=postgres://x\nREDIS_URL='redis://y'\nDEBUG=\nSENTRY_DSN=z\nEXTRA=1\n")
    assert (found["missing"], found["empty"], found["extra"]) == ([], [], ["EXTRA"])


@pytest.mark.parametrize(
    ("text", "missing", "empty"),
    [
        ("DATABASE_URL=hidden-value\nDEBUG=1\n", ["REDIS_URL"], []),
        ("DATABASE_URL=\nREDIS_URL=hidden-value\nDEBUG=\n", [], ["DATABASE_URL"]),
        ("# DATABASE_URL=hidden-value\nREDIS_URL=x\nDEBUG=\n", ["DATABASE_URL"], []),
        (None, ["DATABASE_URL", "DEBUG", "REDIS_URL"], []),
    ],
)
def test_names_that_are_missing_and_never_a_value(ground, text, missing, empty):
    with pytest.raises(StepFailed) as told:
        env(ground, text)
    assert (told.value.facts["missing"], told.value.facts["empty"]) == (missing, empty)
    assert told.value.facts["present"] is (text is not None)
    assert "hidden-value" not in str(told.value) + json.dumps(told.value.facts) + str(told.value.findings)


def test_without_a_template_nothing_is_known(ground):
    action = Matches(file=str(ground.root / "env"), template=str(ground.root / "template"))
    with pytest.raises(CouldNotVerify, match=r"the template .* does not exist"):
        action.run(ground.ctx())


def test_names(ground):
    assert "127.0.0.1" in Resolve(name="localhost").run(ground.ctx())["addresses"]
    with pytest.raises(StepFailed, match="has no address"):
        Resolve(name="no-such-name.invalid").run(ground.ctx())


def test_the_way_to_a_peer(ground):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = Route(address="127.0.0.1", port=port).run(ground.ctx())
        assert (found["reached"], found["how"]) == (True, "answered")
    found = Route(address="127.0.0.1", port=free_port()).run(ground.ctx())
    assert (found["reached"], found["how"]) == (False, "refused")
    found = Route(address="no-such-name.invalid", port=80).run(ground.ctx())
    assert (found["reached"], found["how"]) == (False, "unresolved")


@pytest.fixture
def server():
    """Service that reports the given state of itself."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.says
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            del args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def ask(server, ground):
    return Health(url=f"http://127.0.0.1:{server.server_port}/health").run(ground.ctx())


def test_a_service_that_is_well(server, ground):
    server.says = 200, b'{"status": "ok", "dependencies": {"postgresql": "up", "redis": {"status": "UP"}}}'
    found = ask(server, ground)
    assert (found["status"], found["state"], found["failing"]) == (200, "ok", [])


@pytest.mark.parametrize(
    ("status", "body", "failing"),
    [
        (503, b'{"status": "unavailable", "dependencies": {"postgresql": "down", "redis": "up"}}', ["postgresql"]),
        (200, b'{"status": "degraded", "failing": {"redis": "refused"}}', ["redis"]),
        (500, b"<h1>oops</h1>", []),
    ],
)
def test_a_service_that_is_not_well(server, ground, status, body, failing):
    server.says = status, body
    with pytest.raises(StepFailed) as told:
        ask(server, ground)
    assert (told.value.facts["status"], told.value.facts["failing"]) == (status, failing)


def test_a_service_that_does_not_answer(ground):
    with pytest.raises(StepFailed, match="does not answer") as told:
        Health(url=f"http://127.0.0.1:{free_port()}/health").run(ground.ctx())
    assert told.value.facts["answered"] is False


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (("getent", "python3"), "no program on this host can resolve names"),
        (("python3", "timeout"), "no program on this host can connect to a TCP port"),
        (("python3", "bash"), "no program on this host can connect to a TCP port"),
    ],
)
def test_a_path_is_not_called_broken_because_a_program_is_missing(ground, monkeypatch, lacking, said):
    """A host without Python uses bash and timeout to connect."""
    kept = {"getent", "bash", "timeout"} - {*lacking}
    folder = Path(path_without(ground.root / "bin", *lacking))
    for tool in kept:
        (folder / tool).unlink(missing_ok=True)
        (folder / tool).symlink_to(need(tool))
    with socket.create_server(("127.0.0.1", 0)) as server:
        route = Route(address="127.0.0.1", port=server.getsockname()[1])
        monkeypatch.setenv("PATH", str(folder))
        with pytest.raises(CouldNotVerify, match="no program on this host can resolve a name or connect"):
            route.run(ground.ctx())

        def mend():
            for tool in {*lacking} - {"python3"}:
                (folder / tool).symlink_to(shutil.which(tool, path=PLAIN["PATH"]))
            (folder / "python3").unlink(missing_ok=True)

        refused_until(lambda: route.ready(ground.ctx()), said, mend)
        assert route.run(ground.ctx())["reached"] is True
