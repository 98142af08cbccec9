"""Complete drills of a MariaDB server that loses its databases, also with a controller that is killed in the middle."""

import json
import signal
import subprocess
import time

import pytest

from tests.examples import replaced
from tests.needs import need
from tests.program import Folder
from tests.systems.mariadb.unit import unit

DRILL = """
drill: shop-lost
title: Databases are dropped, and come back from the nightly backup
service: shop
objectives: {rpo: 1h}
guard:
  environments: [lab]
backup:
  - backup.check: {service: SOURCE}
inject:
  - mariadb.lose_data: {service: shop}
restore:
  - backup.restore: {service: shop, from: SOURCE}
verify:
  - mariadb.healthy: {service: shop}
  - mariadb.sql: {service: shop, query: "SELECT COUNT(*) FROM shop.orders"}
    save: orders
    expect: result.value == 1000
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with unit(tmp_path_factory.mktemp("shop")) as made:
        made.save()
        yield made


class Site(Folder):
    """Project with only this machine, and the server as a unit."""

    def __init__(self, root, shop, source, database):
        super().__init__(root)
        need("supervisorctl")
        source_of = {"service": "shop", "host": "db-1", "at": str(shop.copies)}
        inventory = {
            "environment": "lab",
            "hosts": {
                "db-1": {
                    "local": True,
                    "scratch": f"{root}/scratch",
                    "lease": {"boot": "none"},
                    "manager": {"kind": "supervisor", "config": f"{shop.folder}/supervisord.conf"},
                }
            },
            "services": {
                "shop": {
                    "kind": "mariadb",
                    "host": "db-1",
                    "address": shop.socket,
                    "user": "root",
                    "unit": "shop",
                    "data_directory": str(shop.data),
                    **({"database": database} if database else {}),
                }
            },
            "backups": {
                "dumps": {"kind": "mariadb_dump", "pattern": "*.sql.gz", **source_of},
                "streams": {"kind": "mariabackup", "form": "stream", "pattern": "*.mb", **source_of},
            },
        }
        (root / "inventory" / "lab.yml").write_text(json.dumps(inventory))
        (root / "drills" / "shop-lost.yml").write_text(DRILL.replace("SOURCE", source))

    def example(self, name, *pairs):
        """Add the drill of an example, with its source and its sandbox."""
        path = self.root / "inventory" / "lab.yml"
        lab = json.loads(path.read_text())
        lab["backups"]["shop_dumps"] = lab["backups"].pop("dumps")
        box = {"data_may_leave": True, "folder": f"{self.root}/box"}
        lab["services"]["shop_copy"] = {
            "kind": "mariadb",
            "host": "db-1",
            "database": "shop",
            "standby": True,
            "sandbox": box,
        }
        path.write_text(json.dumps(lab))
        (self.root / "drills" / f"{name}.yml").write_text(replaced(name, *pairs))

    def events(self):
        for path in (self.root / "reports").glob("2*/journal.jsonl"):
            return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        return []

    def left(self):
        """Residue of the only run."""
        [path] = (self.root / "reports").glob("2*/result.json")
        return json.loads(path.read_text())["residue"]

    def wait_for(self, process, kind, step):
        until = time.monotonic() + 120
        while not any(event["kind"] == kind and event.get("step") == step for event in self.events()):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.02)


def test_an_example_drops_the_database_and_restores_the_dump(tmp_path, shop):
    site = Site(tmp_path, shop, "dumps", "shop")
    site.example("mariadb-lost")
    checked = site.run("drill.check", "mariadb-lost", timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = site.run("drill", "mariadb-lost", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.result()["verdict"] == "passed"
    assert shop.sql("SELECT COUNT(*) FROM shop.orders").strip() == "1000"
    facts = {step["id"]: step["facts"] for step in site.result()["steps"]}
    assert facts["inject.1"]["databases"] == ["shop"]
    assert facts["restore.1"]["in_place"]
    assert facts["restore.1"]["made"]["of"]["database"] == "shop"
    [proven] = [event for event in site.events() if event["kind"] == "source.proven"]
    assert proven["data"]["backup"] == "shop.sql.gz"
    assert site.left() == []
    assert shop.beside() == []


def test_an_example_compares_a_restored_dump_with_the_server(tmp_path, shop):
    site = Site(tmp_path, shop, "dumps", "shop")
    site.example("mariadb-compare", ("customer:", "customers:"), ("purchase:", "orders:"))
    done = site.run("drill", "mariadb-compare", timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site.result()["verdict"], site.left()) == ("passed", [])


@pytest.mark.parametrize(
    ("kind", "step"),
    [("intent", "inject.1"), ("done", "inject.1"), ("intent", "restore.1"), ("step.started", "restore.1")],
)
def test_a_controller_that_is_killed_leaves_a_server_that_a_recovery_restores(tmp_path, shop, kind, step):
    site = Site(tmp_path, shop, "streams", "")
    process = site.start("drill", "shop-lost", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    site.wait_for(process, kind, step)
    if kind == "step.started":
        while not shop.beside() and process.poll() is None:
            time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    recovered = site.run("drill.recover", timeout=240)
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    shop.until_it_answers()
    assert shop.sql("SELECT COUNT(*) FROM shop.orders; SELECT COUNT(*) FROM other.t").split() == ["1000", "1"]
    assert shop.beside() == []
    assert site.left() == []


def test_a_backup_that_would_change_other_databases_permits_no_fault(tmp_path, shop):
    site = Site(tmp_path, shop, "streams", "shop")
    done = site.run("drill", "shop-lost", timeout=180)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the server also contains other" in site.result()["findings"][0]["measured"]
    assert not [event for event in site.events() if event["kind"] == "intent"]
