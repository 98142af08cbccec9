"""The wheel alone, in a separate environment and an empty folder: catalogue, new project, plan, and the content of
extras.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from itertools import chain
from pathlib import Path

import pytest

from drillbook.catalog import shipped_files
from drillbook.installation.extras import MODULES
from tests.hosts.servers import OpenSsh
from tests.needs import missing, need

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("tests/", "bench/", "docs/measurements")
"""Parts of the checkout that the wheel must not contain."""
HIDDEN = ("asyncssh", "supervisor", "fastapi", "uvicorn", "psycopg_pool", "drillbook")
"""Packages of this environment that the new one must not include: those of the extra `lab`, and the editable
installation.
"""

STACK = f"""\
environment: lab
hosts: {{controller: {{local: true}}}}
services:
  app: {{kind: process, host: controller}}
  vectors: {{kind: qdrant, host: controller, url: "http://127.0.0.1:1", collection: c}}
  secret:
    kind: s3
    host: controller
    endpoint: http://127.0.0.1:1
    bucket: secret
    access_key: !env STORE_KEY
    secret_key: !env STORE_KEY
    encrypt: {{age: [age1{"q" * 58}]}}
"""
CONTACT = "contacts: {duty: {role: On call, notify: [!env WAY]}}\n"
USES = {
    "qdrant": "verify:\n  - qdrant.count: {service: vectors}\n",
    "age": "verify:\n  - s3.get: {uri: 's3://secret/a'}\n",
    "mariadb": "probes:\n  - sql.canary: {driver: pymysql, connect: {database: store}}\nverify:\n",
}
"""Parts of a drill that need an extra. The key is the extra."""
TOUCH = "  - command.run: {{argv: [touch, {}/touched], effect: write}}\n    hosts: controller\n"


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Source archive, and the wheel built from it; built from a copy, so that the checkout does not change."""
    need("git")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in filter(None, run(ROOT, "git", "ls-files", "-z").split("\0")):
        if (ROOT / name).is_file() and not name.startswith(LEFT_OUT):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    run(copy, sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out))
    return out


@pytest.fixture(scope="module")
def wheel(dist):
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel, tmp_path_factory):
    """Program in an environment with only the wheel; its dependencies are links to those of this environment."""
    return installed(wheel, tmp_path_factory.mktemp("fresh"), HIDDEN)


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """Program in an environment with the wheel and without the packages of any extra."""
    extras = {name.partition(".")[0] for name in chain.from_iterable(MODULES.values())}
    return installed(wheel, tmp_path_factory.mktemp("bare"), (*HIDDEN, *extras))


def installed(wheel, folder, hidden):
    run(folder, sys.executable, "-m", "venv", "--without-pip", str(folder))
    run(folder, sys.executable, "-m", "pip", "--python", str(folder), "install", "-q", "--no-deps", "--no-index", str(wheel))
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        seen = not path.name.startswith((*hidden, "__")) and path.suffix != ".pth"
        if seen and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    return str(folder / "bin" / "drillbook")


def run(folder, *argv, status=0, seconds=120, **more):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DRILLBOOK_", "PIP_"))}
    environment |= more
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == status, f"{argv}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.long(40)
def test_the_wheel_holds_every_shipped_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("drillbook/catalog/files/") for name in archive.namelist() if "/catalog/files/" in name}
    assert names == {path for folder in ("drills", "inventory", "lab") for path in shipped_files.below(folder)}


def test_the_wheel_alone_begins_a_project(program, tmp_path):
    outside = run(tmp_path, program, "drill.list", status=2)
    assert "make a new project here: drillbook init" in outside
    listed = json.loads(run(tmp_path, program, "catalog", "--for", "postgres", "--json"))
    assert "postgres-lost" in [entry["name"] for entry in listed]
    made = run(tmp_path, program, "init", "--with", "quarterly,rehearse-database", "--with", "docker-lab")
    assert "drillbook drill.plan quarterly" in made
    assert "invoke" not in made
    assert "postgres.restore" in run(tmp_path, program, "drill.plan", "postgres-lost")
    assert "database_copy" in run(tmp_path, program, "drill.plan", "rehearse-database")
    assert "never run" in run(tmp_path, program, "drill.list")
    assert (tmp_path / "lab" / "compose.yml").is_file()
    assert "api-down" in run(tmp_path, program, "catalog")
    assert "drillbook drill.recover" not in run(tmp_path, program, "actions", "postgres.dump")


def test_a_missing_extra_is_named_with_the_command_that_adds_it(program, wheel, tmp_path):
    run(tmp_path, program, "init")
    for task in (["lab.up"], ["drill", "first"], ["lab.up", "--kind", "docker"], ["lab.status"]):
        said = run(tmp_path, program, *task, status=2)
        assert "lab needs the extra `lab`: the package asyncssh is not installed" in said
        assert f"'drillbook[lab] @ file://{wheel}'" in said


@pytest.mark.parametrize(
    ("extra", "said", "more"),
    [
        ("qdrant", "the action qdrant.count", {}),
        ("otel", "sending the trace", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}),
        ("timestamp", "DRILLBOOK_TIMESTAMP (timestamps of an authority)", {"DRILLBOOK_TIMESTAMP": "http://127.0.0.1:1"}),
        ("age", "the store secret, whose backups are encrypted,", {}),
        ("mariadb", "the probe sql.canary with the driver pymysql", {}),
        ("notify", "the contact duty", {}),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_a_drill_that_lacks_an_extra_is_refused_before_it_touches_anything(bare, wheel, tmp_path, extra, said, more):
    (tmp_path / "drills").mkdir()
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "lab.yml").write_text(STACK + (CONTACT if extra == "notify" else ""))
    uses = USES.get(extra, "verify:\n")
    (tmp_path / "drills" / "one.yml").write_text(f"drill: one\ntitle: One\nservice: app\n{uses}{TOUCH.format(tmp_path)}")
    told = run(tmp_path, bare, "drill", "one", status=2, **more)
    assert f"{said} needs the extra `{extra}`: the package {MODULES[extra][0]} is not installed" in told
    assert f"'drillbook[{extra}] @ file://{wheel}'" in told
    assert "no drill was run" in told.lower()
    assert not (tmp_path / "touched").exists()
    assert not list((tmp_path / "reports").glob("*")) or not (tmp_path / "reports" / "latest").exists()
    if extra == "otel":
        assert "needs the extra `otel`" in run(tmp_path, bare, "drill", "one", "--trace", "http://127.0.0.1:1", status=2)


def test_a_drill_that_needs_no_extra_runs_without_all_of_them(bare, tmp_path):
    (tmp_path / "drills").mkdir()
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "lab.yml").write_text(STACK)
    (tmp_path / "drills" / "one.yml").write_text(f"drill: one\ntitle: One\nservice: app\nverify:\n{TOUCH.format(tmp_path)}")
    run(tmp_path, bare, "drill", "one")
    assert (tmp_path / "touched").exists()


@pytest.mark.long(45)
def test_a_drill_is_added_to_a_project_that_is_there(program, tmp_path):
    run(tmp_path, program, "init")
    added = run(tmp_path, program, "init", "--with", "postgres-lost")
    assert "added to" in added
    assert "postgres-lost.yml" in added
    assert "tasks.py" not in added
    assert "already contains all these files" in run(tmp_path, program, "init", "--with", "postgres-lost")
    (tmp_path / "drills" / "postgres-lost.yml").write_text("drill: mine\n")
    assert "nothing was written" in run(tmp_path, program, "init", "--with", "postgres-lost", status=2)


def test_the_metadata_are_those_that_an_index_takes(dist):
    files = sorted(map(str, dist.iterdir()))
    assert len(files) == 2
    assert run(dist, sys.executable, "-m", "twine", "check", "--strict", *files).count("PASSED") == 2


@pytest.fixture
def database():
    """PostgreSQL of Debian with a dump by its own job: the folder of its programs, and that of the dumps."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    if not found:
        missing("no PostgreSQL of Debian is installed")
    programs, folder = found[-1].parent, Path(tempfile.mkdtemp(prefix="drillbook-newcomer-", dir="/var/tmp"))
    (folder / "dumps").mkdir()
    owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if owner:
        folder.chmod(0o755)
        for path in (folder, folder / "dumps"):
            shutil.chown(path, "postgres")

    def call(name, *words):
        subprocess.run([*owner, str(programs / name), *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    server = ("-h", str(folder), "-p", "5499", "-U", "postgres")
    call("initdb", "-D", f"{folder}/data", "--no-sync", "-A", "trust", "-U", "postgres")
    call(
        "pg_ctl",
        "-D",
        f"{folder}/data",
        "-o",
        f"-c listen_addresses='' -k {folder} -p 5499",
        "-l",
        f"{folder}/log",
        "-w",
        "start",
    )
    try:
        call("psql", *server, "-qc", "CREATE DATABASE shop")
        call("psql", *server, "-qc", "CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 5000) n", "shop")
        call("pg_dump", "-Fc", *server, "-f", f"{folder}/dumps/shop.dump", "shop")
        yield programs, folder / "dumps"
    finally:
        call("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.long(90)
def test_a_newcomer_rehearses_own_dumps_by_the_page_with_three_stops_at_most(program, database, tmp_path):
    rehearsed_by_the_page(program, *database, tmp_path)


@pytest.mark.nightly
def test_a_newcomer_needs_less_than_a_quarter_of_an_hour_from_pip_install_to_the_report(wheel, database, tmp_path):
    """The whole way with `pip install` of the wheel and of what it requires, from the package index."""
    began = time.monotonic()
    run(tmp_path, sys.executable, "-m", "venv", str(tmp_path / "fresh"))
    run(tmp_path, str(tmp_path / "fresh/bin/pip"), "install", "-q", str(wheel), seconds=600)
    rehearsed_by_the_page(str(tmp_path / "fresh/bin/drillbook"), *database, tmp_path)
    assert time.monotonic() - began < 900


def rehearsed_by_the_page(program, programs, dumps, tmp_path):
    """Carry out the commands of docs/sandbox.md with a real OpenSSH host. Each refusal names the next action, which is then
    carried out.
    """
    (tmp_path / "sshd").mkdir()
    sshd = OpenSsh(tmp_path / "sshd")
    home, project = tmp_path / "home", tmp_path / "shop-rehearsal"
    known = home / ".ssh" / "known_hosts"
    known.parent.mkdir(parents=True, mode=0o700)
    shutil.copy(sshd.client_key, home / ".ssh" / "id_ed25519")
    block = re.search(r"## Start here\n\n```console\n(.*?)```", (ROOT / "docs" / "sandbox.md").read_text(), re.DOTALL)[1]
    init, _, check, drill = block.replace("\\\n", "").replace("$ ", "").splitlines()
    host = f"{sshd.user}@127.0.0.1:{sshd.port}"
    for old, new in (
        ("backup@db1.example.org", host),
        ("spare-1.example.org", host),
        ("/var/backups/postgresql", str(dumps)),
    ):
        assert old in init
        init = init.replace(old, new)

    def call(line, folder):
        """Output and status of a command of the page."""
        done = subprocess.run(
            ["sh", "-c", line.replace("drillbook", program, 1)],
            cwd=folder,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return " ".join((done.stdout + done.stderr).split()), done.returncode

    sshd.start()
    try:
        assert call(init, tmp_path)[1] == 0
        inventory = project / "inventory" / "rehearsal.yml"
        stops = []
        while (answer := call(check, project))[1] != 0:
            said = answer[0]
            if record := re.search(r"ssh-keyscan -p \d+ 127\.0\.0\.1 >>", said):
                stops.append("the host's key is not known")
                assert f">>{known}" in said.replace(" ", ""), "a long path takes more than a line"
                subprocess.run(["sh", "-c", f"{record[0]} {known} 2>/dev/null"], check=True)
            elif "or set `lease: {boot: none}` of the host" in said:
                stops.append("the host can undo nothing at boot")
                inventory.write_text(re.sub(r"(127.0.0.1.*user: \w+)}", r"\1, lease: {boot: none}}", inventory.read_text()))
            elif re.search(
                r"set `\S+\.bin` \(inventory/rehearsal.yml:\d+\) to (the folder of|a folder that has pg_restore and the server)",
                said,
            ):
                stops.append("the programs of PostgreSQL are not on the PATH, or another version is")
                assert "a folder that has pg_restore and the server" not in said or f"{programs}" in said, said
                inventory.write_text(re.sub(r"(?m)^#( +)bin: .*", rf"\1bin: {programs}", inventory.read_text()))
            else:
                pytest.fail(said)
            assert len(stops) <= 3, stops
        said, status = call(drill, project)
        assert status == 0, said
        assert "✓ PASSED exit 0 rehearse: The newest backup of shop restores" in said
        assert (project / "reports" / "latest" / "report.html").is_file()
        assert stops[:1] == ["the host's key is not known"]
    finally:
        sshd.stop()
