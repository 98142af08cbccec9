"""A look at the estate by `init`: what it finds, and that nothing on the host changes."""

from drillbook.cli import look
from drillbook.project.project import Project
from tests.estate.conftest import STATE
from tests.program import Folder

TIMES = (
    "find / -xdev -newer /run/looked -type f -not -path '/proc/*' -not -path '/var/lib/postgresql/*' -not -path '/var/log/*'"
)


def test_init_describes_the_services_of_a_host_and_changes_nothing(estate, tmp_path):
    estate.root("touch /run/looked")
    before = estate.root(STATE)
    (tmp_path / "caller").mkdir()
    caller = Folder(tmp_path / "caller")
    words = ("--identity", str(estate.client_key), "--known-hosts", str(estate.known_hosts))
    done = caller.run("init", "new", "--look", "ops@srv", "--gateway", f"ops@127.0.0.1:{estate.port}", *words, timeout=120)
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
        "redis-server": ("redis", "redis-server", 6379),
    }
    assert services["database"].data_directory == "/var/lib/postgresql/17/main"
    assert services["redis-server"].data_directory == "/var/lib/redis"
    assert "PostgreSQL 17" in (root / look.NAME).read_text()
