"""A look at hosts: the recorded output of the script, and the inventory that is made of it."""

from drillbook.cli import look, scaffold
from drillbook.project.project import Project
from drillbook.sdk.host import Target

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
TARGETS = {"db1": Target(name="db1", address="db1.example.org", user="ops")}


def written(folder, recorded):
    seen = look.parse(recorded)
    scaffold.init(folder, looked=look.text(TARGETS, {"db1": seen}))
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
    assert "42243" in look.remarks(seen)[0]
    text = (tmp_path / look.NAME).read_text()
    assert "#    kind: tcp  # program odd: [x" in text
    assert "!env DATABASE_PASSWORD  # secret" in text


def test_what_could_not_be_seen_is_told_and_not_guessed(tmp_path):
    seen, inventory = written(tmp_path, UNSEEN)
    assert not inventory.services
    assert inventory.hosts["db1"].become is None
    assert all(line in (tmp_path / look.NAME).read_text() for line in look.remarks(seen))
    assert len(look.remarks(seen)) == 2
