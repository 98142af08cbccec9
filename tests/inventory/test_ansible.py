"""Ansible inventories, compared with the output of `ansible-inventory --list`."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drillbook.errors import InventoryError
from drillbook.inventory import inventory
from drillbook.inventory.ansible.graph import Vaulted
from drillbook.inventory.ansible.hosts import read
from tests.needs import need

SHAPES = Path(__file__).parent / "ansible"
SOURCES = {
    "ini-plain": "hosts",
    "ini-ranges": "hosts.ini",
    "ini-children": "hosts",
    "ini-quotes": "hosts",
    "ini-vars-first": "hosts",
    "yaml-plain": "hosts.yml",
    "yaml-ranges": "inventory.yaml",
    "yaml-nested": "hosts.yml",
    "precedence": "hosts",
    "group-vars": "hosts",
    "folder": "inv",
    "json": "hosts.json",
    "old-names": "hosts",
    "duplicates": "hosts",
    "no-extension-yaml": "hosts",
}


def real_tool():
    beside = Path(sys.executable).with_name("ansible-inventory")
    return str(beside) if beside.exists() else need("ansible-inventory")


def ansible_says(tmp_path, *sources):
    """Variables of hosts, hosts of groups including their child groups, and the order of all hosts."""
    argv = [real_tool(), "--list", *(word for source in sources for word in ("-i", str(source)))]
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / ".ansible"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    }
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60, check=False)
    if done.returncode:
        return None
    data = json.loads(done.stdout)
    variables = data.pop("_meta")["hostvars"]

    def members(group):
        found = dict.fromkeys(data.get(group, {}).get("hosts", []))
        for child in data.get(group, {}).get("children", []):
            found |= dict.fromkeys(members(child))
        return list(found)

    groups = {name: set(members(name)) for name in data if name != "all" and members(name)}
    return {host: variables.get(host, {}) for host in members("all")}, groups


def we_say(*sources):
    found = read([Path(source) for source in sources])
    variables = {host: {key: variable.value for key, variable in own.items()} for host, own in found.variables.items()}
    return variables, {name: set(hosts) for name, hosts in found.groups.items() if hosts}


@pytest.mark.parametrize("shape", SOURCES)
def test_a_shape_reads_as_ansible_reads_it(shape, tmp_path):
    source = SHAPES / shape / SOURCES[shape]
    theirs = ansible_says(tmp_path, source)
    assert theirs is not None, "the real tool refuses this shape"
    assert json.loads(json.dumps(we_say(source)[0])) == theirs[0]
    assert we_say(source)[1] == theirs[1]


def test_several_sources_read_as_ansible_reads_them(tmp_path):
    sources = [SHAPES / "group-vars" / "hosts", SHAPES / "folder" / "inv", SHAPES / "duplicates" / "hosts"]
    theirs = ansible_says(tmp_path, *sources)
    assert we_say(*sources) == theirs


def test_a_literal_of_python_reads_as_ansible_reads_it(tmp_path):
    values = ("1j", "{1}", "(1,2)", "()", "None", "1e5", "-1", "+1", "1_000", "0o17", "[(1,)]")
    if tuple(map(int, metadata.version("ansible-core").split(".")[:2])) >= (2, 19):  # an older one cannot print these
        values += ("...", "[...]")
    (tmp_path / "hosts").write_text("".join(f"h{number} v={value}\n" for number, value in enumerate(values)))
    assert json.loads(json.dumps(we_say(tmp_path / "hosts")[0])) == ansible_says(tmp_path, tmp_path / "hosts")[0]


NAMES = st.sampled_from(["a", "b", "c", "d1", "web"])
VALUES = st.sampled_from(
    ["1", "text", "'quoted'", '"x y"', "[1, 2]", "True", "0x10", "1_0", "a=b", "x#y", "", "None", "..."]
)
LINES = st.one_of(
    st.builds("[{}]".format, NAMES),
    st.builds("[{}:children]".format, NAMES),
    st.builds("[{}:vars]".format, NAMES),
    st.builds("{}".format, NAMES),
    st.builds("h{} v={}".format, NAMES, VALUES),
    st.builds("v={}".format, VALUES),
    st.builds("{}[{}:{}]".format, NAMES, st.sampled_from(["1", "01", "a", ""]), st.sampled_from(["3", "03", "c"])),
    st.builds("{}:{}".format, NAMES, st.integers(1, 70000)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(LINES, max_size=12).map("\n".join), min_size=20, max_size=20))
def test_small_random_files_read_as_ansible_reads_them(tmp_path_factory, texts):
    """Twenty files in one call, with group names of their own, would hide errors: so one call for each file, and few
    calls.
    """
    tmp_path = tmp_path_factory.mktemp("random")
    text = next((text for text in texts if _ours(tmp_path, text) is not None), texts[0])
    (tmp_path / "hosts").write_text(text + "\n")
    theirs = ansible_says(tmp_path, tmp_path / "hosts")
    ours = _ours(tmp_path, text)
    assert (ours is None and (theirs is None or theirs[0] == {})) or json.loads(json.dumps(ours[0])) == theirs[0]


def _ours(tmp_path, text):
    (tmp_path / "hosts").write_text(text + "\n")
    try:
        return we_say(tmp_path / "hosts")
    except InventoryError:
        return None


def loaded(tmp_path, ansible_text, ours="", name="hosts"):
    (tmp_path / name).write_text(ansible_text)
    path = tmp_path / "staging.yml"
    path.write_text(f"environment: staging\nansible: {name}\n{ours}")
    return inventory.load(path)


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
        ("[a:children]\nb\n[b:children]\na", "these groups are children of each other: a > b > a", 4),
        ("[x:children]\nnone", "[x:children] names a group, but there is no group 'none'", 2),
        ("[x:vars]\na=1", "[x:vars] sets variables of a group, but there is no group 'x'", 1),
        ("[x:var]\na=1", "the section has the unknown kind 'var'", 1),
        ("[x y]\na", "the name of this section is invalid", 1),
        ("h a", "expected key=value after the host, not 'a'", 1),
        ("h a='b", "the line of this host cannot be parsed: No closing quotation", 1),
        ("w[01:9]", "'w[01:9]' contains an invalid range", 1),
        ("w[1:999999999]", "'w[1:999999999]' stands for more than 20000 hosts", 1),
        ("w[1:100][1:100][1:100]", "stands for more than 20000 hosts", 1),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message, line):
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path, text)
    assert message in caught.value.message
    assert caught.value.where.file.endswith("hosts")
    assert caught.value.where.line == line


def test_vaulted_values_are_named_and_ours_stand_in_for_them(tmp_path):
    text = "all:\n  hosts:\n    h:\n      ansible_user: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        3338\n      x: !vault abc\n"
    with pytest.raises(InventoryError, match="ansible_user of host 'h' is encrypted with ansible-vault") as caught:
        loaded(tmp_path, text, name="hosts.yml")
    assert caught.value.where.line == 4
    assert loaded(tmp_path, text, "hosts: {h: {user: ops}}\n", name="hosts.yml").hosts["h"].user == "ops"
    assert isinstance(read([tmp_path / "hosts.yml"]).variables["h"]["x"].value, Vaulted)


def test_a_vaulted_file_is_an_error_unless_it_is_left_out_on_purpose(tmp_path):
    (tmp_path / "group_vars" / "all").mkdir(parents=True)
    (tmp_path / "group_vars" / "all" / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3338\n")
    with pytest.raises(InventoryError, match=r"vault.yml is encrypted with ansible-vault"):
        loaded(tmp_path, "h\n")
    path = tmp_path / "staging.yml"
    path.write_text("environment: staging\nansible: {files: hosts, vault: ignore}\n")
    assert list(inventory.load(path).hosts) == ["h"]


def test_limit_leaves_hosts_out(tmp_path):
    (tmp_path / "hosts").write_text("[win]\nw ansible_connection=winrm\n[lin]\nl\n")
    path = tmp_path / "staging.yml"
    path.write_text("environment: staging\nansible: {files: [hosts], limit: 'all:!win'}\n")
    found = inventory.load(path)
    assert list(found.hosts) == ["l"]
    assert found.groups == {"win": (), "lin": ("l",)}


def test_a_program_is_not_run(tmp_path):
    program = tmp_path / "hosts"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    (tmp_path / "staging.yml").write_text("environment: staging\nansible: hosts\n")
    with pytest.raises(InventoryError, match="is a program that prints an inventory"):
        inventory.load(tmp_path / "staging.yml")
    assert not (tmp_path / "ran").exists()
    assert shutil.which("sh")
