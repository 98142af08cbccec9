"""Files of one inventory: hosts and contacts are merged field by field, other entries replace each other."""

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory import merging

BASE = """\
environment: lab
hosts:
  app: {address: 10.0.0.1, user: deploy}
  db: {address: 10.0.0.2}
groups: {web: [app]}
services:
  api: {kind: http, host: app, url: "http://10.0.0.1"}
"""


def merged(folder, *texts):
    """Value of an inventory whose file includes the others; a later text has precedence."""
    (folder / "base.yml").write_text(texts[0])
    path = folder / "base.yml"
    for number, text in enumerate(texts[1:]):
        included, path = path.name, folder / f"over-{number}.yml"
        path.write_text(f"include: [{included}]\n{text}")
    return merging.resolve(merging.documents(path, None))[1]


def test_a_host_keeps_the_fields_that_the_newer_file_leaves_out(tmp_path):
    value = merged(tmp_path, BASE, "hosts:\n  app: {user: root}\n  cache: {address: 10.0.0.3}\n")
    assert value["hosts"] == {
        "app": {"address": "10.0.0.1", "user": "root"},
        "db": {"address": "10.0.0.2"},
        "cache": {"address": "10.0.0.3"},
    }
    assert value["groups"] == {"web": ["app"]}
    assert "include" not in value


def test_a_group_is_replaced_as_a_whole(tmp_path):
    assert merged(tmp_path, BASE, "groups: {web: [db], all_dbs: [db]}\n")["groups"] == {"web": ["db"], "all_dbs": ["db"]}


def test_a_service_in_two_files_is_refused_at_the_second(tmp_path):
    with pytest.raises(InventoryError, match=r"the service 'api' is also described in .*base.yml:7") as failure:
        merged(tmp_path, BASE, "services:\n  api: {kind: http, host: db, url: 'http://10.0.0.2'}\n")
    assert "over-0.yml:3" in str(failure.value.where)
