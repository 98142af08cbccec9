"""Files of Ansible inventories, compared with the output of `ansible-inventory --list`."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drillbook.errors import InventoryError
from drillbook.inventory.ansible.hosts import read
from tests.inventory.loading import loaded
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


UNPRINTED = ("...", "[...]") if tuple(map(int, metadata.version("ansible-core").split(".")[:2])) >= (2, 19) else ()
"""Values that an older ansible-inventory reads, but cannot print: "ellipsis is not JSON serializable"."""


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
    values = ("1j", "{1}", "(1,2)", "()", "None", "1e5", "-1", "+1", "1_000", "0o17", "[(1,)]", *UNPRINTED)
    (tmp_path / "hosts").write_text("".join(f"h{number} v={value}\n" for number, value in enumerate(values)))
    assert json.loads(json.dumps(we_say(tmp_path / "hosts")[0])) == ansible_says(tmp_path, tmp_path / "hosts")[0]


NAMES = st.sampled_from(["a", "b", "c", "d1", "web"])
VALUES = st.sampled_from(
    ["1", "text", "'quoted'", '"x y"', "[1, 2]", "True", "0x10", "1_0", "a=b", "x#y", "", "None", *UNPRINTED[:1]]
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


@pytest.mark.long(30)
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


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("[x:children]\nnone", "[x:children] names a group, but there is no group 'none'", 2),
        ("[x:vars]\na=1", "[x:vars] sets variables of a group, but there is no group 'x'", 1),
        ("[x:var]\na=1", "the section has the unknown kind 'var'", 1),
        ("[x y]\na", "the name of this section is invalid", 1),
        ("h a", "expected key=value after the host, not 'a'", 1),
        ("h a='b", "the line of this host cannot be parsed: No closing quotation", 1),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message, line):
    with pytest.raises(InventoryError) as caught:
        loaded(tmp_path, text)
    assert message in caught.value.message
    assert caught.value.where.file.endswith("hosts")
    assert caught.value.where.line == line
