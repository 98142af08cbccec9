"""The example of MariaDB, nginx and files: the inventory and the drill of the page, run against real servers."""

import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests import tiers
from tests.hosts.servers import OpenSsh
from tests.needs import need
from tests.ports import free_port
from tests.program import Folder
from tests.systems.mariadb.site import running

PAGE = Path(__file__).parents[2] / "docs" / "any-stack.md"
NGINX = """\
daemon off;
pid DIR/nginx.pid;
error_log DIR/error.log;
events {}
http {
  access_log off;
  client_body_temp_path DIR/body;
  proxy_temp_path DIR/proxy;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  server { listen 127.0.0.1:PORT; LOCATION }
}
"""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def shop(tmp_path):
    """Create the shop of the page below a folder of the test. Return the texts of the page with its paths."""
    nginx, port = need("nginx"), free_port()
    root = tmp_path / "shop"
    (root / "uploads").mkdir(parents=True)
    (root / "uploads" / "logo.txt").write_text("the logo\n")
    root.chmod(0o777)
    (root / "uploads").chmod(0o777)
    (tmp_path / "sshd").mkdir()
    (tmp_path / "server").mkdir()
    sshd = OpenSsh(tmp_path / "sshd")
    (location,) = blocks("nginx")
    text = NGINX.replace("LOCATION", location.replace("/srv/shop", str(root))).replace("PORT", str(port))
    user = "user root;\n" if Path("/proc/self").owner() == "root" else ""
    (tmp_path / "nginx.conf").write_text(user + text.replace("DIR", str(tmp_path)))
    with running(tmp_path / "server") as server:
        server.sql("CREATE DATABASE store; CREATE TABLE store.orders(id INT PRIMARY KEY, total INT)")
        server.sql("INSERT INTO orders SELECT seq, seq*3 FROM seq_1_to_500", "store")
        child = subprocess.Popen([nginx, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")])
        try:
            sshd.start()
            url, until = f"http://127.0.0.1:{port}", time.monotonic() + 20
            while not answers(f"{url}/uploads/logo.txt"):
                assert time.monotonic() < until
                assert child.poll() is None, (tmp_path / "error.log").read_text()
                time.sleep(0.02)
            host = (
                f"address: 127.0.0.1, port: {sshd.port}, user: {sshd.user}, identity: {sshd.client_key}, "
                f"known_hosts: {sshd.known_hosts}, scratch: {tmp_path}/scratch, lease: {{boot: none}}"
            )
            places = {
                "address: 10.0.0.5, user: drill": host,
                "http://10.0.0.5:8080": url,
                "port: 8080": f"port: {port}",
                "/run/mysqld/mysqld.sock": server.socket,
                "/srv/shop": str(root),
            }
            found = blocks("yaml")
            for old, new in places.items():
                found = [text.replace(old, new) for text in found]
            yield found, root, server
        finally:
            child.terminate()
            child.wait()
            sshd.stop()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def test_the_drill_of_the_page_finds_the_cause_measures_rto_and_rpo_and_proves_the_content(shop, tmp_path):
    (inventory, tree, drill), root, server = shop
    (tmp_path / "project").mkdir()
    folder = Folder(tmp_path / "project")
    shutil.copytree(PAGE.parents[1] / "drills" / "diagnosis", folder.root / "drills" / "diagnosis")
    (folder.root / "drills" / "diagnosis" / "mariadb.yml").write_text(tree)
    (folder.root / "inventory" / "shop.yml").write_text(inventory)
    (folder.root / "drills" / "shop-lost.yml").write_text(drill)
    assert folder.run("trust", "--yes").returncode == 0
    for _ in range(20 if tiers.ALL else 3):
        healthy = folder.run("diagnose", "web", "--inventory", "shop", timeout=60)
        assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    checked = folder.run("drill.check", "shop-lost", "--inventory", "shop", timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = folder.run("drill", "shop-lost", "--inventory", "shop", timeout=180)
    result = folder.result()
    said = done.stdout + done.stderr
    assert result["objectives"]["rto"]["met"] is True, said
    assert result["objectives"]["rpo"]["met"] is True, said
    assert result["objectives"]["rpo"]["lost_writes"] >= 1, said
    assert [one["code"] for one in result["findings"]] == ["acknowledged-writes-lost"], said
    compared = next(step for step in result["steps"] if step["action"] == "content.matches")
    assert (compared["status"], compared["facts"]["readings"]["orders"]) == ("done", 500)
    diagnosed = next(step for step in result["steps"] if step["action"] == "diagnosis.finds")
    assert (diagnosed["status"], diagnosed["facts"]["found"]) == ("done", "database-lost")
    assert result["residue"] == []
    assert sorted(path.name for path in (root / "uploads").iterdir()) == ["logo.txt"]
    assert server.sql("SHOW TABLES", "store").split() == ["orders"]
