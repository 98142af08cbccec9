"""The variables of Ansible about jump hosts, as gateways of hosts."""

import pytest

from drillbook.errors import InventoryError
from tests.inventory.loading import loaded

COMMON = "h ansible_ssh_common_args="


def ways(found, name="h"):
    """Jump hosts to ``name``, the one nearest to the host first, each with address, user, port and key."""
    hosts, seen = found.hosts, []
    while through := hosts[name].gateway:
        name = through
        seen.append((name, hosts[name].address, hosts[name].user, hosts[name].port, hosts[name].identity))
    return seen


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("'-o ProxyJump=b'", [("b", "b", "", None, "")]),
        ("'-oProxyJump=ops@b.example.com:2222'", [("b.example.com", "b.example.com", "ops", 2222, "")]),
        ("'-C -J ops@b'", [("b", "b", "ops", None, "")]),
        ("'-qJ b'", [("b", "b", "", None, "")]),
        ("'-o \"ProxyJump ssh://ops@[2001:db8::1]:22\"'", [("2001:db8::1", "2001:db8::1", "ops", 22, "")]),
        ("'-o ProxyJump=a,ops@b:23'", [("b", "b", "ops", 23, ""), ("a", "a", "", None, "")]),
        (
            "'-o ProxyCommand=\"ssh -W %h:%p -q -p 2222 -i ~/.ssh/jump -o StrictHostKeyChecking=yes ops@b\"'",
            [("b", "b", "ops", 2222, "~/.ssh/jump")],
        ),
        ("'-o ProxyCommand=\"/usr/bin/ssh -l ops b -W [%h]:%p\"'", [("b", "b", "ops", None, "")]),
        ("'-o ProxyJump=none'", []),
        ("'-o ControlMaster=auto -o ServerAliveInterval=30 -i ~/J'", []),
    ],
)
def test_a_jump_host_becomes_a_gateway(tmp_path, arguments, wanted):
    assert ways(loaded(tmp_path, f"{COMMON}{arguments}")) == wanted


def test_a_jump_host_of_the_inventory_is_used_as_it_is_there(tmp_path):
    text = (
        "[edge]\nbastion ansible_host=192.0.2.9 ansible_user=ops\n[site]\nh\n[all:vars]\nansible_port=2222\n"
        "ansible_ssh_common_args='-o ProxyJump=ops@192.0.2.9:2222'\n"
    )
    found = loaded(tmp_path, text)
    assert sorted(found.hosts) == ["bastion", "h"]
    assert ways(found) == [("bastion", "192.0.2.9", "ops", 2222, "")]
    assert found.hosts["bastion"].gateway == ""
    found = loaded(tmp_path, f"{COMMON}'-J b'\ng ansible_ssh_common_args='-J b'", "hosts: {b: {user: me, known_hosts: k}}\n")
    assert ways(found) == ways(found, "g") == [("b", "", "me", None, "")]
    assert ways(loaded(tmp_path, f"{COMMON}'-J b'\n", "hosts: {h: {gateway: x}, x: {}}\n"))[0][0] == "x"


def test_the_same_address_for_another_account_is_another_host(tmp_path):
    found = loaded(tmp_path, f"b ansible_user=me\n{COMMON}'-J ops@b'\n")
    assert ways(found) == [("ops-b", "b", "ops", None, "")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'-o ProxyCommand=\"nc -X connect %h %p\"'", "is not `ssh -W %h:%p HOST`"),
        ("'-o ProxyCommand=\"ssh b nc %h %p\"'", "is not `ssh -W %h:%p HOST`"),
        ("'-o ProxyCommand=\"ssh -F other -W %h:%p b\"'", "has its own proxy or its own configuration file"),
        ("'-o ProxyCommand=\"ssh -J a -W %h:%p b\"'", "has its own proxy or its own configuration file"),
        ("'-o ProxyCommand=\"ssh -p x -W %h:%p b\"'", "has the invalid port 'x'"),
        ("'-J b:99999'", "is not [USER@]HOST[:PORT]"),
        ("'-J $(touch x)'", "is not [USER@]HOST[:PORT]"),
    ],
)
def test_a_way_that_is_not_understood_is_an_error_at_its_place(tmp_path, arguments, message):
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path, f"[g]\n{COMMON}{arguments}")
    assert message in caught.value.message
    assert (caught.value.where.file.endswith("hosts"), caught.value.where.line) == (True, 2)
    assert "gateway" in caught.value.hint
