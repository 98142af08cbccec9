"""Services that a diagnosis of everything examines."""

from drillbook.diagnosis import scope
from drillbook.inventory.inventory import Inventory


def test_neither_backup_sources_nor_sandboxes_are_examined():
    inventory = Inventory.model_validate(
        {
            "environment": "lab",
            "hosts": {"here": {"local": True}},
            "services": {
                "cache": {"kind": "redis", "host": "here"},
                "copy": {"kind": "redis", "host": "here", "sandbox": {}},
                "spare": {"kind": "redis", "host": "here", "port": 6380, "standby": True},
            },
            "backups": {"dumps": {"kind": "redis_rdb", "service": "cache", "at": "/var/backups"}},
        }
    )
    assert scope.everything(inventory.services) == ("cache",)
