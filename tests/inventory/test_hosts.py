"""Hosts of an Ansible inventory as hosts of Drillbook."""

import pytest

from drillbook.errors import InventoryError
from drillbook.inventory.ansible.graph import Vaulted
from drillbook.inventory.ansible.hosts import read
from tests.inventory.loading import loaded


def test_hosts_and_groups_become_ours(tmp_path):
    found = loaded(
        tmp_path,
        "[db]\ndb[1:2] ansible_host=192.0.2.1 ansible_port=2222 ansible_user=ops "
        "ansible_ssh_private_key_file=~/k\n[web]\nme ansible_connection=local\n[site:children]\ndb\nweb\n",
        "hosts: {db2: {user: mine, scratch: /srv}}\nservices: {d: {kind: process, host: db1}}\n",
    )
    assert list(found.hosts) == ["db1", "db2", "me"]
    one = found.hosts["db1"]
    assert (one.name, one.address, one.port, one.user, one.identity) == ("db1", "192.0.2.1", 2222, "ops", "~/k")
    assert (found.hosts["db2"].user, found.hosts["db2"].port, found.hosts["db2"].scratch) == ("mine", 2222, "/srv")
    assert found.hosts["me"].local
    assert found.groups == {"db": ("db1", "db2"), "web": ("me",), "site": ("db1", "db2", "me")}
    assert found.expand("site:!web") == ("db1", "db2")


def test_vaulted_values_are_named_and_ours_stand_in_for_them(tmp_path):
    text = "all:\n  hosts:\n    h:\n      ansible_user: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        3338\n      x: !vault abc\n"
    with pytest.raises(InventoryError, match="ansible_user of host 'h' is encrypted with ansible-vault") as caught:
        loaded(tmp_path, text, name="hosts.yml")
    assert caught.value.where.line == 4
    assert loaded(tmp_path, text, "hosts: {h: {user: ops}}\n", name="hosts.yml").hosts["h"].user == "ops"
    assert isinstance(read([tmp_path / "hosts.yml"]).variables["h"]["x"].value, Vaulted)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("h ansible_host='{{ x }}.example.com'", "ansible_host of host 'h' is an expression, '{{ x }}.example.com'", 1),
        ("[g]\nh\n[g:vars]\nansible_user={{ who }}", "ansible_user of host 'h' is an expression", 4),
        ("h ansible_port=ssh", "the port of host 'h' must be a number from 1 to 65535", 1),
        ("h ansible_port=70000", "the port of host 'h' must be a number from 1 to 65535", 1),
        ("h ansible_connection=winrm", "has ansible_connection=winrm, but Drillbook reaches hosts only by SSH", 1),
        (
            "h ansible_ssh_common_args='-J b/c'",
            "is reached through another host, but Drillbook cannot use ansible_ssh_common_args",
            1,
        ),
        ("h ansible_host=[1]", "ansible_host of host 'h' is not a text or number: [1]", 1),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path, text, message, line):
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path, text)
    assert message in caught.value.message
    assert caught.value.where.file.endswith("hosts")
    assert caught.value.where.line == line
