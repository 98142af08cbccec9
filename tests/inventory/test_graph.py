"""Groups and hosts of an Ansible inventory: patterns of names, and the order of groups."""

import itertools

import pytest

from drillbook.errors import InventoryError, Where
from drillbook.inventory.ansible.graph import DEPTH_LIMIT, Graph, Variable, expand_pattern
from tests.inventory.loading import loaded


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("[a:children]\nb\n[b:children]\na", "these groups are children of each other: a > b > a", 4),
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


HERE = Where("hosts", 1, 1)


def graph_of(children, hosts):
    """A closed graph: the child groups of each group, and the hosts of each group."""
    graph = Graph()
    for parent, names in children.items():
        for name in (parent, *names):
            graph.group(name, HERE)
        graph.groups[parent].children |= dict.fromkeys(names, HERE)
    for name, pattern in hosts.items():
        graph.group(name, HERE)
        graph.add_hosts(pattern, name, {}, HERE)
    graph.close()
    return graph


def test_a_deeper_group_has_precedence_and_then_the_priority_and_then_the_name():
    graph = graph_of({"a": ["deep"]}, {"deep": "h", "z": "h", "b": "h"})
    assert graph.groups_of() == {"h": ["a", "b", "z", "deep"]}
    graph.set_variable("b", "ansible_group_priority", Variable("10", HERE))
    assert graph.groups_of() == {"h": ["a", "z", "b", "deep"]}
    assert "ansible_group_priority" not in graph.groups["b"].variables
    with pytest.raises(InventoryError, match="ansible_group_priority of 'b' must be a whole number, not 'high'"):
        graph.set_variable("b", "ansible_group_priority", Variable("high", HERE))


def test_hosts_of_a_group_come_before_those_of_its_child_groups():
    graph = graph_of({"top": ["left", "right"], "left": ["low"]}, {"low": "l", "right": "r", "left": "m", "top": "t"})
    assert graph.members("top") == ("t", "m", "r", "l")


def test_a_host_in_no_other_group_is_ungrouped():
    graph = graph_of({}, {"ungrouped": "alone", "web": "w"})
    assert graph.members("ungrouped") == ("alone",)
    graph.add_hosts("alone", "web", {}, HERE)
    graph.close()
    assert graph.members("ungrouped") == ()


@pytest.mark.parametrize(
    ("pattern", "names", "port"),
    [
        ("web[01:10:4].example.com:2222", ["web01.example.com", "web05.example.com", "web09.example.com"], 2222),
        ("db-[a:c]", ["db-a", "db-b", "db-c"], None),
        ("r[1:2]-[x:y]", ["r1-x", "r1-y", "r2-x", "r2-y"], None),
        ("[2001:db8::1]:22", ["2001:db8::1"], 22),
    ],
)
def test_a_pattern_stands_for_names_and_a_port(pattern, names, port):
    assert expand_pattern(pattern, HERE) == (names, port)


def test_a_host_keeps_the_port_of_its_first_pattern():
    graph = Graph()
    graph.add_hosts("h:2222", "all", {}, HERE)
    graph.add_hosts("h:22", "all", {"x": Variable(1, HERE)}, HERE)
    assert {key: variable.value for key, variable in graph.hosts["h"].items()} == {"ansible_port": 2222, "x": 1}


def test_groups_at_too_many_levels_are_refused():
    names = [f"g{number}" for number in range(DEPTH_LIMIT + 2)]
    with pytest.raises(InventoryError, match=f"groups are nested in more than {DEPTH_LIMIT} levels"):
        graph_of({parent: [child] for parent, child in itertools.pairwise(names)}, {}).depths()
