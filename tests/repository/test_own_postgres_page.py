"""The drills of an own PostgreSQL without a bucket: the files of the page, run against a real PostgreSQL and OpenSSH.

The server is as a distribution runs it: as the user `postgres`, with peer authentication, below a service manager, which is
supervisord in the place of systemd.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from drillbook.sdk.host import as_user
from tests.hosts.servers import OpenSsh
from tests.needs import missing
from tests.ports import free_port
from tests.program import Folder
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "own-postgres.md"
BIN = Path("/usr/lib/postgresql/17/bin")
PASSWORD = "hidden-word-of-the-shop"
SUPERVISOR = """\
[supervisord]
nodaemon=true
user=root
logfile=DIR/supervisor.log
pidfile=DIR/supervisor.pid
[unix_http_server]
file=DIR/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://DIR/supervisor.sock
[program:shop]
command=BIN/postgres -D DIR/17/main
user=postgres
autorestart=false
stopsignal=INT
stopwaitsecs=60
redirect_stderr=true
stdout_logfile=DIR/postgres.log
"""
FILL = f"""
CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE auditor;
CREATE DATABASE shop OWNER shop;
\\connect shop
SET ROLE shop;
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 50) AS n;
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric);
INSERT INTO orders SELECT n, 1 + n % 50, n * 1.5 FROM generate_series(1, 500) AS n;
CREATE TABLE lines (placed int REFERENCES orders, ware text);
INSERT INTO lines SELECT n, 'ware ' || n FROM generate_series(1, 500) AS n;
CREATE INDEX ON orders (customer);
CREATE VIEW large AS SELECT * FROM orders WHERE total > 500;
GRANT SELECT ON orders, large TO auditor;
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


class Team:
    """The host of a team: its server, its SSH server, and the project with the files of the page."""

    def __init__(self, folder, project):
        self.folder, self.port, self.project = folder, free_port(), Folder(project)
        (folder / "sshd").mkdir()
        self.sshd = OpenSsh(folder / "sshd")
        self.sshd.extra = f"SetEnv SHLVL=1 PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin\n"
        self.supervisor = None

    def as_postgres(self, *argv, **options):
        words = as_user("postgres", argv)
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd="/", **options).stdout

    def sql(self, text, database="shop"):
        argv = [f"{BIN}/psql", "-AtqX", "-v", "ON_ERROR_STOP=1", "-h", f"{self.folder}/run", "-p", str(self.port), database]
        return self.as_postgres(*argv, input=text)

    def job(self):
        """Run the nightly job of the page."""
        (text,) = blocks("sh")
        path = self.folder / "job"
        path.write_text(self.placed(text))
        path.chmod(0o755)
        environ = {"PATH": f"{BIN}:/usr/bin:/bin", "PGHOST": f"{self.folder}/run"}
        self.as_postgres("env", *(f"{key}={value}" for key, value in environ.items()), str(path))

    def placed(self, text):
        """Return a text of the page with the places of the test."""
        host = (
            f"address: 127.0.0.1, port: {self.sshd.port}, user: {self.sshd.user}, identity: {self.sshd.client_key}, "
            f"known_hosts: {self.sshd.known_hosts}, scratch: {self.folder}/s, lease: {{boot: none}}, "
            f"manager: {{kind: supervisor, config: {self.folder}/supervisord.conf}}"
        )
        places = {
            "address: 10.0.0.7, user: drill, manager: {sudo: true}": host,
            "unit: postgresql@17-main": "unit: shop",
            "port: 5432": f"port: {self.port}",
            "--port=5432": f"--port={self.port}",
            "/var/run/postgresql": f"{self.folder}/run",
            "/var/lib/postgresql/17/main": f"{self.folder}/17/main",
            "/var/backups/shop": f"{self.folder}/dumps",
        }
        for old, new in places.items():
            text = text.replace(old, new)
        return text

    def start(self):
        for name in ("17", "17/main", "run", "dumps"):
            (self.folder / name).mkdir(mode=0o755 if name in ("17", "run") else 0o700)
            shutil.chown(self.folder / name, "postgres", "postgres")
        options = ["--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self.as_postgres(f"{BIN}/initdb", "-D", f"{self.folder}/17/main", *options)
        with (self.folder / "17" / "main" / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{self.folder}/run'\n"
            )
        config = self.folder / "supervisord.conf"
        config.write_text(SUPERVISOR.replace("DIR", str(self.folder)).replace("BIN", str(BIN)))
        program = Path(sys.executable).with_name("supervisord")
        with (self.folder / "out").open("wb") as out:
            self.supervisor = subprocess.Popen([program, "-c", config], cwd="/", stdout=out, stderr=out)
        self.sshd.start()
        until(self.answers, "the server answers")
        self.sql(FILL, "postgres")

    def answers(self):
        try:
            self.sql("SELECT 1", "postgres")
        except subprocess.CalledProcessError:
            return False
        return True

    def stop(self):
        self.sshd.stop()
        if self.supervisor:
            self.supervisor.terminate()
            self.supervisor.wait()

    def write(self):
        """Write the files of the page into the project."""
        inventory, *drills = map(self.placed, blocks("yaml"))
        (self.project.root / "inventory" / "shop.yml").write_text(inventory)
        for text in drills:
            (self.project.root / "drills" / f"{text.split()[1]}.yml").write_text(text)
        self.project.environment["SHOP_PASSWORD"] = PASSWORD
        assert self.program("trust", "--yes").returncode == 0

    def program(self, *argv):
        return self.project.run(*argv, timeout=240)

    def drill(self, name):
        checked = self.program("drill.check", name, "--inventory", "shop")
        assert "could begin now" in checked.stdout, checked.stdout + checked.stderr
        done = self.program("drill", name, "--inventory", "shop")
        return self.project.result(), done.stdout + done.stderr

    def rows(self):
        tables = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in ("customers", "lines", "orders"))
        return dict(line.split("|") for line in self.sql(tables).splitlines())


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("only root can run a server as the user postgres")
    if not (BIN / "postgres").exists():
        missing("PostgreSQL 17 is not installed (Debian: postgresql-17)")
    folder = Path(tempfile.mkdtemp(prefix="own-", dir="/var/tmp"))
    folder.chmod(0o755)
    made = Team(folder, tmp_path_factory.mktemp("project"))
    try:
        made.start()
        made.job()
        made.write()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


ROWS = {"customers": "50", "orders": "500", "lines": "500"}


def test_the_server_is_stopped_and_started_again_and_the_outage_is_measured(team):
    result, said = team.drill("shop-stopped")
    assert result["verdict"] == "passed", said
    assert result["objectives"]["rto"]["met"] is True, said
    assert result["clocks"]["outage_s"] > 0, said
    assert result["residue"] == []
    assert team.rows() == ROWS


def test_a_dropped_table_comes_back_from_the_nightly_dump(team):
    result, said = team.drill("orders-dropped")
    assert result["verdict"] == "passed", said
    assert (result["objectives"]["rto"]["met"], result["objectives"]["rpo"]["met"]) == (True, True), said
    assert result["clocks"]["outage_s"] > 0, said
    assert [one["code"] for one in result["findings"]] == [], said
    assert result["residue"] == []
    assert team.rows() == ROWS
    dependents = "SELECT conname FROM pg_constraint WHERE confrelid = 'orders'::regclass"
    assert team.sql(dependents).split() == ["lines_placed_fkey"]
    assert team.sql("SELECT has_table_privilege('auditor', 'large', 'SELECT')").split() == ["t"]


def test_rows_that_are_newer_than_the_dump_are_told(team):
    team.sql("INSERT INTO orders VALUES (501, 1, 7), (502, 1, 7)")
    result, said = team.drill("orders-dropped")
    assert result["verdict"] == "passed", said
    assert [one["code"] for one in result["findings"]] == ["removed-data-missing"], said
    assert team.rows() == ROWS


def test_references_to_rows_that_are_newer_than_the_dump_fail_the_drill_and_not_the_restore(team):
    team.sql("INSERT INTO orders VALUES (503, 1, 7); INSERT INTO lines VALUES (503, 'new')")
    result, said = team.drill("orders-dropped")
    assert result["verdict"] == "failed", said
    assert "lines_placed_fkey of public.lines" in result["findings"][0]["measured"], said
    assert [one["code"] for one in result["findings"]] == ["references-broken", "removed-data-missing"], said
    assert (result["residue"], result["objectives"]["rto"]["met"]) == ([], True), said
    assert team.rows() == ROWS | {"lines": "501"}
    team.sql("DELETE FROM lines WHERE placed = 503; ALTER TABLE lines VALIDATE CONSTRAINT lines_placed_fkey")


def test_a_table_is_not_dropped_when_a_role_of_the_dump_is_gone(team):
    team.sql("CREATE ROLE gone; GRANT SELECT ON orders TO gone")
    team.job()
    team.sql("REVOKE ALL ON orders FROM gone; DROP ROLE gone")
    result, said = team.drill("orders-dropped")
    team.job()
    assert result["verdict"] == "inconclusive", said
    assert [one["code"] for one in result["findings"]] == ["backup-unproven"], said
    assert "the dump names roles that the server no longer has: gone" in result["findings"][0]["measured"]
    assert team.rows() == ROWS


def test_a_table_that_the_dump_lacks_is_not_dropped(team):
    drill = team.project.root / "drills" / "orders-dropped.yml"
    team.sql("CREATE TABLE fresh (id int); INSERT INTO fresh VALUES (1); ALTER TABLE fresh OWNER TO shop")
    (drill.parent / "fresh-dropped.yml").write_text(
        drill.read_text().replace("orders-dropped", "fresh-dropped").replace("orders", "fresh")
    )
    assert team.program("trust", "--yes").returncode == 0
    result, said = team.drill("fresh-dropped")
    assert result["verdict"] == "inconclusive", said
    assert [one["code"] for one in result["findings"]] == ["backup-unproven"], said
    assert "the dump contains no rows of public.fresh that could be counted" in result["findings"][0]["measured"]
    assert team.sql("SELECT count(*) FROM fresh; DROP TABLE fresh").split() == ["1"]


def test_a_data_directory_beside_which_no_folder_can_be_made_is_refused_before_it_is_lost(team):
    shutil.chown(team.folder / "17", "root")
    try:
        checked = team.program("drill.check", "shop-lost", "--inventory", "shop")
    finally:
        shutil.chown(team.folder / "17", "postgres")
    assert checked.returncode == 4, checked.stdout
    said = f"db-1: postgres may not write to {team.folder}/17, in which the restore makes a folder beside the data directory"
    assert said in " ".join(checked.stdout.split())
    assert "could begin now" in team.program("drill.check", "shop-lost", "--inventory", "shop").stdout


def test_the_lost_cluster_comes_back_from_the_nightly_dump(team):
    before = team.sql("SELECT name, setting FROM pg_settings WHERE name IN ('port', 'data_checksums', 'server_encoding')")
    result, said = team.drill("shop-lost")
    assert result["verdict"] == "passed", said
    assert (result["objectives"]["rto"]["met"], result["objectives"]["rpo"]["met"]) == (True, True), said
    assert result["objectives"]["rpo"]["clock"] == "newest moment of the restored backup"
    assert result["objectives"]["rpo"]["measured_s"] > 0, said
    assert result["residue"] == []
    assert team.rows() == ROWS
    assert (
        team.sql("SELECT name, setting FROM pg_settings WHERE name IN ('port', 'data_checksums', 'server_encoding')")
        == before
    )
    assert team.sql("SELECT rolname FROM pg_roles WHERE rolname IN ('shop', 'auditor') ORDER BY 1").split() == [
        "auditor",
        "shop",
    ]
    assert not list(team.folder.glob("17/main.drillbook*"))


BLOCK = re.compile(r"in bash on db-1 \(`(ssh [^`]*)`\)(?:, as the user (\w+))?:\n\n    ```sh\n(.*?)\n    ```\n", re.DOTALL)


def test_a_person_without_drillbook_brings_the_lost_cluster_back_with_the_runbook(team):
    """The blocks of the printed page are pasted into bash on the host, as the users that it names."""
    page = team.program("runbook", "shop-lost", "--inventory", "shop").stdout
    found = BLOCK.findall(page.partition("## Verify")[0])
    assert [user for _, user, _ in found] == ["postgres", "", "postgres", ""]
    copy = Path("/var/tmp/by-hand-shop-nightly")
    shutil.rmtree(copy, ignore_errors=True)
    main = team.folder / "17" / "main"
    shutil.rmtree(main)
    try:
        said = [
            subprocess.run(
                [*shlex.split(login), shlex.join([*(as_user(user) if user else ()), "bash", "--norc", "-i"])],
                input=textwrap.dedent(text) + "\n",
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            for login, user, text in found
        ]
        until(team.answers, "".join(one.stdout + one.stderr for one in said))
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    assert team.rows() == ROWS
    assert team.sql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'orders'").split() == ["shop"]
    [(login, _, asked)] = [one for one in BLOCK.findall(page.partition("## Verify")[2]) if "pg_is_in_recovery" in one[2]]
    done = subprocess.run(
        [*shlex.split(login), textwrap.dedent(asked)], capture_output=True, text=True, check=False, timeout=30
    )
    assert "PostgreSQL 17" in done.stdout, f"the superuser logs in by peer authentication: {asked}{done.stderr}"
    assert team.program("drill.check", "shop-stopped", "--inventory", "shop").returncode == 0, "the application logs in"
    assert "trust" not in (main / "pg_hba.conf").read_text()
