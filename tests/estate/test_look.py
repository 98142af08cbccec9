"""`init` reads the facts of the estate: its results, an unchanged host, and the first drill afterwards."""

import json

from drillbook.cli import host_examination
from drillbook.project.project import Project
from tests.estate.conftest import STATE
from tests.program import Folder

TIMES = (
    "find / -xdev -newer /run/looked -type f -not -path '/proc/*' -not -path '/var/lib/postgresql/*' -not -path '/var/log/*'"
)


def words(estate):
    known = ("--identity", str(estate.client_key), "--known-hosts", str(estate.known_hosts))
    return ("--look", "ops@srv", "--gateway", f"ops@127.0.0.1:{estate.port}", *known)


def test_init_describes_the_services_of_a_host_and_changes_nothing(estate, tmp_path):
    estate.root("touch /run/looked")
    before = estate.root(STATE)
    (tmp_path / "caller").mkdir()
    caller = Folder(tmp_path / "caller")
    done = caller.run("init", "new", *words(estate), timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert estate.root(STATE) == before
    assert estate.root(TIMES) == ""
    root = caller.root / "new"
    caller.root = root
    listed = caller.run("drill.list")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    services = Project(root).inventory("found").services
    found = {name: (one.kind, one.unit, one.port) for name, one in services.items()}
    assert found == {
        "database": ("postgres", "postgresql@17-main", 5432),
        "nginx": ("http", "nginx", 80),
        "app": ("http", "app", 8000),
        "redis-server": ("redis", "redis-server", 6380),
    }
    assert services["database"].data_directory == "/var/lib/postgresql/17/main"
    assert services["redis-server"].data_directory == "/var/lib/redis"
    assert "PostgreSQL 17" in (root / host_examination.NAME).read_text()


def test_from_nothing_to_the_first_passed_drill_in_three_commands(estate, tmp_path):
    before = estate.root(STATE)
    (tmp_path / "caller").mkdir()
    caller = Folder(tmp_path / "caller")
    root = caller.root / "new"
    for number, command in enumerate(
        (
            ("init", "new", *words(estate), "--environment", "staging"),
            ("drill.check", "first", "--inventory", "found"),
            ("drill", "first", "--inventory", "found"),
        )
    ):
        done = caller.run(*command, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        assert number or "drill.check first --inventory found" in done.stdout
        caller.root = root
    result = json.loads((root / "reports" / "latest" / "result.json").read_text())
    assert (result["verdict"], result["residue"], result["environment"]) == ("passed", [], "staging")
    stopped = [step for step in result["steps"] if step["action"] == "service.stop"]
    assert [step["status"] for step in stopped] == ["done"]
    assert estate.root(STATE) == before
