"""The estate: a bastion with the only public SSH port, and behind it the host of a small site."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from pathlib import Path

import pytest

from drillbook.errors import LabError
from drillbook.lab.containers import images
from tests.hosts.servers import new_key
from tests.needs import docker_engine, missing
from tests.ports import free_port
from tests.program import Folder
from tests.systemd import image
from tests.systemd.conftest import OPTIONS, docker, until
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY, make_bucket, store

HERE = Path(__file__).parent
PASSWORD = "open sesame"
FILL = f"""
cd /
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE shop OWNER clerk;
\\c shop
CREATE TABLE goods AS SELECT n AS id, 'good ' || n AS name FROM generate_series(1, 1000) AS n;
ALTER TABLE goods OWNER TO clerk;
SQL
sed -i 's/^port 6379$/port 6380/' /etc/redis/redis.conf
systemctl restart redis-server
until redis-cli -p 6380 ping >/dev/null 2>&1; do sleep 0.05; done
seq 1 500 | sed 's/.*/SET key:& value-&/' | redis-cli -p 6380 >/dev/null
"""
"""Content of the site. Its Redis listens on another port than usual."""
# Content, owners, settings and units of the site, without its caches and logs.
STATE = """
cd /
find /etc/nginx /etc/postgresql /var/www /var/lib/uploads -printf '%y %m %u:%g %p %l\\n' | sort
find /etc/nginx /etc/postgresql /var/www -type f -exec md5sum {} + | sort
runuser -u postgres -- psql -At shop -c "SELECT count(*), md5(string_agg(id || name, '' ORDER BY id)) FROM goods"
redis-cli -p 6380 dbsize
systemctl is-active nginx app redis-server postgresql@17-main
iptables -S
find / -xdev -name '*drillbook*' -not -path '/proc/*' -not -path '/var/lib/postgresql/*' 2>/dev/null
"""


class Estate:
    """Two hosts in a separate network, and the address of its gateway, where the store of backups listens."""

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = f"drillbook-estate-{uuid.uuid4().hex[:8]}", folder
        self.port, self.web = free_port(), free_port()
        keys = folder / "keys"
        keys.mkdir()
        host_key, self.client_key = new_key(keys / "host_key"), new_key(folder / "client_key")
        (keys / "authorized_keys").write_text(self.client_key.with_suffix(".pub").read_text())
        self.known_hosts = folder / "known_hosts"
        public = host_key.with_suffix(".pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}srv {public}")
        self.ready = made()
        docker("network", "create", self.name)
        self.gateway = docker("network", "inspect", self.name, "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()
        self._start("bastion", image.ready(), "--publish", f"127.0.0.1:{self.port}:22", keys=keys)
        self._start(
            "srv",
            self.ready,
            "--publish",
            f"127.0.0.1:{self.web}:80",
            "--cap-add",
            "NET_ADMIN",
            "--cap-add",
            "SYS_PTRACE",
            "--tmpfs",
            "/var/lib/uploads:size=20m",
            keys=keys,
        )

    def _start(self, host: str, of: str, *options: str, keys: Path) -> None:
        named = ("--name", f"{self.name}-{host}", "--hostname", host, "--network", self.name, "--network-alias", host)
        docker("run", "--detach", *named, *OPTIONS, "--volume", f"{keys}:/mnt/keys:ro", *options, of)

    def root(self, script: str) -> str:
        """Output of a script that root runs on the site's host, without Drillbook."""
        return docker("exec", "--interactive", f"{self.name}-srv", "sh", "-s", stdin=script)

    def up(self) -> None:
        for host in ("bastion", "srv"):
            until(
                lambda host=host: (
                    docker("exec", f"{self.name}-{host}", "systemctl", "is-system-running", check=False).strip()
                    in ("running", "degraded")
                ),
                f"the start of {host}",
            )
        self.root(FILL)

    def remove(self) -> None:
        for host in ("bastion", "srv"):
            docker("rm", "--force", "--volumes", f"{self.name}-{host}", check=False)
        docker("network", "rm", self.name, check=False)


def made() -> str:
    """Build the image of the site's host if it is missing, and return its name. Raises LabError."""
    base, digest = image.debian(), hashlib.sha256()
    for path in sorted(HERE.glob("*")):
        if (
            path.is_file()
            and path.suffix not in (".yml", ".ini", ".pyc")
            and path.name not in ("conftest.py", "__init__.py")
        ):
            digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    name = f"drillbook-test/estate:{base.rpartition(':')[2]}-{digest.hexdigest()[:12]}"
    with images.alone():
        if not images.present(name):
            words = ("build", "--quiet", "--tag", name, "--build-arg", f"BASE={base}", "--file", str(HERE / "Containerfile"))
            docker(*words, str(HERE))
    return name


@pytest.fixture(scope="session")
def estate(tmp_path_factory):
    docker_engine()
    try:
        found = Estate(tmp_path_factory.mktemp("estate"))
    except LabError as error:
        missing(error.message)
    try:
        found.up()
        yield found
    finally:
        found.remove()


@pytest.fixture(scope="session")
def project(estate, tmp_path_factory):
    """Project folder with the inventory of the estate, and a store of backups at the gateway of its network."""
    root = tmp_path_factory.mktemp("project")
    with contextlib.ExitStack() as stack:
        backups = stack.enter_context(store(tmp_path_factory.mktemp("s3"), estate.gateway))
        make_bucket(backups)
        folder = Folder(root)
        folder.environment |= {"CLERK_PASSWORD": PASSWORD, "S3_KEY": KEY, "S3_SECRET": SECRET_KEY}
        words = {
            "PORT": str(estate.port),
            "KEY": str(estate.client_key),
            "KNOWN": str(estate.known_hosts),
            "WEB": str(estate.web),
            "ENDPOINT": backups.endpoint,
            "BUCKET": BUCKET,
        }
        for name, place in (("hosts.ini", "inventory/hosts.ini"), ("estate.yml", "inventory/lab.yml")):
            text = (HERE / name).read_text()
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            (root / place).write_text(text)
        shutil.copytree(HERE.parents[1] / "drills" / "diagnosis", root / "drills" / "diagnosis")
        for path in (HERE / "drills").glob("*.yml"):
            (root / "drills" / path.name).write_text(path.read_text())
        yield folder


if __name__ == "__main__":
    print(made())
