"""Services that a diagnosis without arguments examines."""

from pathlib import Path

from drillbook.diagnosis import scope, trees
from drillbook.inventory.inventory import Inventory


def test_only_services_that_should_be_running_are_examined():
    inventory = Inventory.model_validate(
        {
            "environment": "lab",
            "hosts": {"here": {"local": True}},
            "services": {
                "cache": {"kind": "redis", "host": "here"},
                "copy": {"kind": "redis", "host": "here", "sandbox": {}},
                "spare": {"kind": "redis", "host": "here", "port": 6380, "standby": True},
                "vectors": {"kind": "qdrant", "host": "here", "url": "http://127.0.0.1:1", "collection": "chunks"},
                "rehearsed": {
                    "kind": "qdrant",
                    "host": "here",
                    "url": "http://127.0.0.1:1",
                    "collection": "chunks-rehearsed",
                    "temporary": True,
                },
            },
            "backups": {"dumps": {"kind": "redis_rdb", "service": "cache", "at": "/var/backups"}},
        }
    )
    examined = scope.everything(inventory.services)
    assert examined == ("cache", "vectors")
    shipped = trees.load_all(Path(__file__).parents[2] / "drills" / trees.FOLDER)
    assert scope.unexamined(shipped, inventory.services, examined) == {"spare": "a standby"}


def test_a_tree_sees_the_socket_of_a_service_and_of_the_one_that_it_needs():
    inventory = Inventory.model_validate(
        {
            "environment": "lab",
            "hosts": {"here": {"local": True}},
            "services": {
                "shop": {"kind": "http", "host": "here", "url": "http://127.0.0.1:1", "needs": ["db", "cache"]},
                "db": {"kind": "mariadb", "host": "here", "address": "/run/mysqld/mysqld.sock"},
                "cache": {"kind": "redis", "host": "here"},
            },
        }
    )
    shipped = trees.load_all(Path(__file__).parents[2] / "drills" / trees.FOLDER)
    seen = {
        case.peer: scope.names(inventory, case)
        for case in scope.cases(shipped, inventory.services, ["shop"])
        if case.tree.tree == "dependency"
    }
    assert {name: names["peer"]["socket"] for name, names in seen.items()} == {"db": "/run/mysqld/mysqld.sock", "cache": ""}
    assert seen["db"]["service"]["socket"] == ""
