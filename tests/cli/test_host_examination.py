"""Reading the facts of hosts: the recorded output of the script, and the inventory made from it."""

import os
import subprocess
import tempfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from drillbook.cli import host_examination, looked_project, scaffold
from drillbook.errors import UsageError
from drillbook.lab import database
from drillbook.plan import planner
from drillbook.project.project import Project
from drillbook.sdk.host import Target
from drillbook.sdk.looks import Entry
from drillbook.systems.http.looks import HttpLook
from drillbook.systems.postgres.looks import PostgresLook
from tests.hosts.servers import OpenSsh
from tests.ports import free_port
from tests.program import Folder
from tests.waiting import until

RECORDED = """\
root|sudo
os|Debian GNU/Linux 13 (trixie)
listen|00000000:0016|1
listen|00000000:0050|2
listen|0100007F:1F40|3
listen|0100007F:18EB|4
listen|00000000000000000000000001000000:18EB|5
listen|0100007F:1538|6
listen|0B00007F:A503|7
listen|00000000:1F90|8
holds|116|6
holds|135|3
holds|78|4
holds|78|5
holds|93|1
holds|94|2
holds|200|8
cluster|17|main|5432|online|postgres|/var/lib/postgresql/17/main|/usr/lib/postgresql/17/bin|/run/pg|116
database|5432|shop|clerk
process|116|postgres|/system.slice/system-postgresql.slice/postgresql@17-main.service|/var/lib/postgresql/17/main
cluster|17||5432|online|postgres|/var/lib/postgresql/17/main|/usr/lib/postgresql/17/bin|/run/pg|116
process|135|gunicorn|/system.slice/app.service|/srv/app
process|78|redis-server|/system.slice/redis-server.service|/var/lib/redis
process|93|sshd|/system.slice/ssh.service|/
process|94|nginx|/system.slice/nginx.service|/
process|200|odd: [x|/user.slice/user-1.slice/user@1.service/app.slice/odd.service|/
""".replace("|", "\t")
UNSEEN = "\n".join(
    line for line in RECORDED.replace("root\tsudo", "root\tnone").splitlines() if line.split("\t")[0] in ("root", "listen")
)
OTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] if os.geteuid() == 0 else []
"""Words before a command that run it as a user without the rights of root, as a real other user of this machine."""
TARGETS = {"db1": Target(name="db1", address="db1.example.org", user="ops")}


@pytest.fixture(autouse=True)
def unreachable(monkeypatch):
    """Hosts of these tests do not exist; no request leaves this machine."""
    asked = HttpLook.asked
    monkeypatch.setattr(
        HttpLook, "asked", lambda self, service, address: asked(self, service, address) if address == "127.0.0.1" else None
    )


def written(folder, recorded, environment=""):
    seen = host_examination.parse(recorded)
    scaffold.init(folder, looked=looked_project.of(TARGETS, {"db1": seen}, environment))
    return seen, Project(folder).inventory("found")


def test_services_are_written_with_units_ports_and_folders(tmp_path):
    seen, inventory = written(tmp_path, RECORDED)
    assert (inventory.is_protected, inventory.hosts["db1"].becomes_root) == (True, True)
    found = {name: (one.kind, one.unit, one.port) for name, one in inventory.services.items()}
    assert found == {
        "database": ("postgres", "postgresql@17-main", 5432),
        "nginx": ("http", "nginx", 80),
        "app": ("http", "app", 8000),
        "redis-server": ("redis", "redis-server", 6379),
    }
    database = inventory.services["database"]
    assert (database.database, database.user, database.run_as) == ("shop", "clerk", "postgres")
    assert (database.data_directory, database.admin.socket) == ("/var/lib/postgresql/17/main", "/run/pg")
    assert inventory.services["redis-server"].data_directory == "/var/lib/redis"
    assert "42243" in host_examination.remarks(seen)[0]
    text = (tmp_path / host_examination.NAME).read_text()
    assert "#    kind: tcp  # program odd: [x" in text
    assert "!env DATABASE_PASSWORD  # secret" in text


def test_what_could_not_be_seen_is_told_and_not_guessed(tmp_path):
    seen, inventory = written(tmp_path, UNSEEN)
    assert not inventory.services
    assert inventory.hosts["db1"].become is None
    assert all(line in (tmp_path / host_examination.NAME).read_text() for line in host_examination.remarks(seen))
    assert len(host_examination.remarks(seen)) == 2


@pytest.mark.parametrize(
    ("environment", "name", "protected"),
    [("", "found", True), ("staging", "staging", False), ("eu-live", "eu-live", True), ("production", "production", True)],
)
def test_only_a_name_for_hosts_without_customers_is_not_protected(tmp_path, environment, name, protected):
    _, inventory = written(tmp_path, RECORDED, environment)
    assert (inventory.environment, inventory.is_protected) == (name, protected)
    plan = planner.make(Project(tmp_path).drill("first"), inventory)
    assert (plan.environments, plan.lacking) == ((name,), {})


def test_a_name_that_is_no_environment_is_refused():
    with pytest.raises(UsageError, match="is not a valid name of an environment"):
        looked_project.head("staging: {}")


class Denied(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Print nothing."""


def test_a_web_server_that_answers_is_described_and_drilled_with_its_status(tmp_path):
    server = HTTPServer(("127.0.0.1", 0), Denied)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen = host_examination.parse(RECORDED)
    seen.listeners = [replace(one, port=server.server_port) for one in seen.listeners if one.program == "nginx"]
    try:
        looked = looked_project.of({"db1": Target(name="db1", address="127.0.0.1")}, {"db1": seen}, "staging")
    finally:
        server.shutdown()
        server.server_close()
    scaffold.init(tmp_path, looked=looked)
    inventory = Project(tmp_path).inventory("found")
    assert inventory.services["nginx"].health.status == 401
    plan = planner.make(Project(tmp_path).drill("first"), inventory)
    assert (plan.service, [one.name for one in plan.probes]) == ("nginx", ["http.available"])
    assert [step.action for step in plan.phase("verify")] == ["service.status", "http.responds"]


def test_without_an_answer_the_port_on_the_host_is_the_proof(tmp_path):
    _, inventory = written(tmp_path, RECORDED, "staging")
    plan = planner.make(Project(tmp_path).drill("first"), inventory)
    assert (plan.service, plan.probes) == ("nginx", ())
    assert [step.action for step in plan.phase("verify")] == ["service.status", "port.owner"]
    assert "did not answer the controller" in (tmp_path / host_examination.NAME).read_text()


def test_two_hosts_with_the_same_services_and_an_ipv6_address(tmp_path):
    targets = host_examination._targets(["ops@db1.example.org", "ops@[2001:db8::7]:2222"], "", "", "")
    assert {name: (one.address, one.port) for name, one in targets.items()} == {
        "db1": ("db1.example.org", None),
        "host-2": ("2001:db8::7", 2222),
    }
    looked = looked_project.of(targets, {name: host_examination.parse(RECORDED) for name in targets}, "test")
    scaffold.init(tmp_path, looked=looked)
    services = Project(tmp_path).inventory("found").services
    assert (services["nginx"].host, services["nginx-host-2"].host) == ("db1", "host-2")
    assert services["nginx-host-2"].url == "http://[2001:db8::7]:80"
    assert (services["database"].host, services["database-host-2"].host) == ("db1", "host-2")


def test_mariadb_is_found(tmp_path):
    recorded = RECORDED.replace("redis-server.service", "mariadb.service").replace("\tredis-server", "\tmariadbd")
    _, inventory = written(tmp_path, recorded.replace("/var/lib/redis", "/var/lib/mysql"))
    found = inventory.services["mariadb"]
    assert (found.kind, found.port, found.unit, found.data) == ("mariadb", 6379, "mariadb", "/var/lib/mysql")


def test_an_existing_project_gets_the_inventory_alone_and_keeps_its_own(tmp_path):
    scaffold.init(tmp_path)
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    written(tmp_path, RECORDED, "staging")
    after = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert set(after) - set(before) == {tmp_path / host_examination.NAME}
    assert {path: after[path] for path in before} == before
    written(tmp_path, RECORDED, "staging")
    with pytest.raises(UsageError, match="nothing was written") as told:
        written(tmp_path, RECORDED, "test")
    assert f"rename {host_examination.NAME}" in told.value.hint
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == after


def test_without_a_unit_the_project_keeps_the_drill_of_the_lab(tmp_path):
    written(tmp_path, UNSEEN)
    assert "service: api\n" in (tmp_path / "drills" / "first.yml").read_text()
    assert (tmp_path / "inventory" / "lab.yml").is_file()


def test_options_that_do_not_go_together_are_refused_before_any_host_is_asked(tmp_path):
    folder = Folder(tmp_path)
    for words, message in (
        (("--look", "nowhere.invalid", "--rehearse", "files"), "--look and --rehearse make different projects"),
        (("--environment", "staging"), "--environment can be used only together with --look"),
        (("--look", "nowhere.invalid", "--environment", "a b"), "is not a valid name of an environment"),
    ):
        done = folder.run("init", "new", *words)
        assert (done.returncode, message in " ".join(done.stderr.split())) == (2, True), done.stderr
    assert not (tmp_path / "new").exists()
    done = folder.run("--dry", "init", "new", "--look", "nowhere.invalid")
    assert (done.returncode, "would examine nowhere.invalid" in done.stdout) == (0, True), done.stdout + done.stderr


class Six(OpenSsh):
    """SSH server at the IPv6 loopback address."""

    def command(self):
        words = super().command()
        path = self.folder / "sshd_config"
        path.write_text(path.read_text() + "ListenAddress ::1\n")
        self.known_hosts.write_text(self.known_hosts.read_text().replace("[127.0.0.1]", "[::1]"))
        return words


def test_a_host_is_looked_at_by_its_ipv6_address(tmp_path):
    server = Six(tmp_path)
    server.port = free_port()
    server.record(server.host_key)
    server.start()
    try:
        words = [f"{server.user}@[::1]:{server.port}"]
        targets, found = host_examination.hosts(words, str(server.client_key), str(server.known_hosts), "")
    finally:
        server.stop()
    assert (targets["host-1"].address, targets["host-1"].port) == ("::1", server.port)
    assert found["host-1"].system
    assert server.port in [one.port for one in found["host-1"].listeners] + found["host-1"].unseen


@pytest.mark.parametrize("by", ["-D", "PGDATA"])
def test_a_cluster_of_the_ssh_user_itself_is_found_with_its_databases(by):
    with tempfile.TemporaryDirectory(prefix="drillbook-look-", dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        (Path(folder) / "look.sh").write_text(host_examination.script())
        port, data, tools = free_port(), f"{folder}/data", database.binaries()
        initdb = [*OTHER, f"{tools}/initdb", "-D", data, "--no-sync", "--auth", "trust"]
        subprocess.run(initdb, check=True, capture_output=True)
        words = [] if by == "PGDATA" else ["-D", "data"]
        argv = [*OTHER, "env", f"PGDATA={data}", f"{tools}/postgres", *words, "-p", str(port), "-k", folder]
        server = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            create = [*OTHER, f"{tools}/createdb", "-h", folder, "-p", str(port), "shop"]
            until(lambda: subprocess.run(create, check=False, capture_output=True).returncode == 0)
            looked = [*OTHER, "sh", f"{folder}/look.sh"]
            done = subprocess.run(looked, check=True, capture_output=True, text=True, cwd=folder)
            user = subprocess.run([*OTHER, "id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
        finally:
            server.terminate()
            server.wait(30)
    seen = host_examination.parse(done.stdout)
    (found,) = [one for one in PostgresLook().others(seen) if one.details.data == data]
    assert (seen.user, found.details.owner, found.port, found.details.databases) == (user, user, port, (("shop", user),))
    text = "\n".join(PostgresLook().fields(found, Entry("database", "db1", "db1.example.org", seen.user)))
    assert "run_as" not in text, "the SSH user needs no sudo for its own cluster"
    assert f"admin: {{user: {user}, socket: " in text


def test_a_server_whose_data_directory_is_unknown_is_told():
    recorded = "\n".join(line for line in RECORDED.splitlines() if not line.startswith(("cluster", "database")))
    assert "PostgreSQL listens on port 5432; its data directory could not be seen" in host_examination.remarks(
        host_examination.parse(recorded)
    )


def test_a_host_that_refuses_is_told_by_the_option_and_not_by_a_key_of_no_file(tmp_path):
    done = Folder(tmp_path).run("init", "new", "--look", "x@127.0.0.1:1")
    assert done.returncode == 3, done.stdout
    assert "hosts.host-1" not in done.stderr
    assert "the address in `--look` or the port in `--look`" in " ".join(done.stderr.split())
