"""Conversion of an Ansible inventory to hosts and groups of Drillbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from drillbook.errors import InventoryError
from drillbook.inventory.ansible import files, jump, privilege
from drillbook.inventory.ansible.graph import Graph, Variable, Vaulted
from drillbook.inventory.ansible.jump import Jump
from drillbook.language.patterns import PatternError, expand

FIELDS = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "identity": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
}
"""For each field of a host: the names of the Ansible variables that set this field.

When several variables of a field are set, the last of them has precedence, as in Ansible's SSH connection.
"""

SSH = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh")
LOCAL = ("local", "ansible.builtin.local")
ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")


@dataclass(frozen=True, slots=True)
class AnsibleInventory:
    """Content of an Ansible inventory: the variables that apply to each host, and the hosts of each group."""

    variables: dict[str, dict[str, Variable]]
    groups: dict[str, tuple[str, ...]]

    def hosts(self, ours: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the fields of a Target for each host. ``ours``: the fields that Drillbook's own inventory files set for
        each host. They are left out of the result.

        A jump host that is not in the inventory is added to the result. Its name is its address. If another host has this
        name, the name also contains the user. Raises InventoryError when a variable has a value that Drillbook cannot use.
        """
        targets = {name: _fields(name, variables, ours.get(name) or {}) for name, variables in self.variables.items()}
        added: dict[str, dict[str, Any]] = {}
        for name, variables in self.variables.items():
            if "gateway" not in (ours.get(name) or {}) and not targets[name].get("local"):
                through = _through(_jumps(name, variables), {**targets, **added}, ours, added)
                targets[name] |= {"gateway": through} if through not in ("", name) else {}
        return {**targets, **added}


def read(paths: Sequence[Path], *, vault: bool = False, limit: str = "") -> AnsibleInventory:
    """Read inventory files, and the folders group_vars and host_vars next to them. A later file has precedence over an
    earlier one.

    When ``vault`` is true, encrypted files of variables are skipped. Otherwise an encrypted file is an error.
    ``limit``: host pattern that selects the hosts to return. Raises InventoryError with file and line when a file is
    invalid.
    """
    graph = Graph()
    for path in paths:
        files.add(graph, path)
    groups_of = graph.groups_of()
    folders = list(dict.fromkeys((path if path.is_dir() else path.parent).resolve() for path in paths))

    @cache
    def beside(kind: str, *names: str) -> dict[str, Variable]:
        return {
            key: value
            for folder in folders
            for name in names
            for key, value in files.variables_beside(folder / kind, name, vault=vault).items()
        }

    order = graph.members("all")
    groups = {name: graph.members(name) for name in graph.groups if name not in ("all", "ungrouped")}
    if graph.groups["ungrouped"].hosts:
        groups["ungrouped"] = graph.members("ungrouped")
    chosen = _limited(order, groups, limit, paths)
    won: dict[str, dict[str, Variable]] = {}
    for host in chosen:
        layers = [
            graph.groups["all"].variables,
            *(graph.groups[name].variables for name in groups_of[host]),
            beside("group_vars", "all"),
            beside("group_vars", *groups_of[host]),
            graph.hosts[host],
            beside("host_vars", host),
        ]
        won[host] = {key: value for layer in layers for key, value in layer.items()}
    return AnsibleInventory(won, {name: tuple(host for host in members if host in won) for name, members in groups.items()})


def _limited(order: Sequence[str], groups: Mapping[str, Sequence[str]], limit: str, paths: Sequence[Path]) -> list[str]:
    if not limit:
        return list(order)
    try:
        wanted = expand(limit, order, groups)
    except PatternError as error:
        raise InventoryError(f"the pattern in `limit`, for {', '.join(map(str, paths))}: {error}", hint=error.hint) from None
    return [host for host in order if host in wanted]


def _fields(name: str, variables: Mapping[str, Variable], ours: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "local" not in ours and (connection := variables.get("ansible_connection")):
        kind = _plain(name, "ansible_connection", connection, "local")
        if kind in LOCAL:
            return {"local": True}
        if kind not in SSH:
            raise InventoryError(
                f"host {name!r} has ansible_connection={kind}, but Drillbook reaches hosts only by SSH",
                where=connection.where,
                hint=f"exclude the host: `ansible: {{files: ..., limit: 'all:!{name}'}}`",
            )
    for field, keys in FIELDS.items():
        given = [(key, variables[key]) for key in keys if key in variables and variables[key].value not in (None, "")]
        if given and field not in ours:
            key, variable = given[-1]
            value = _plain(name, key, variable, field)
            fields[field] = _port(name, variable, value) if field == "port" else value
    if "become" not in ours and (account := privilege.become(name, variables)):
        fields["become"] = account
    return fields


def _jumps(name: str, variables: Mapping[str, Variable]) -> list[Jump]:
    """Return the jump hosts on the way to the host ``name``. If the arguments for ssh name jump hosts several times,
    the first time counts, as in ssh.
    """
    for key in ARGUMENTS:
        if key in variables and variables[key].value not in (None, ""):
            hops = jump.jumps(name, key, variables[key], _plain(name, key, variables[key], "gateway"))
            if hops is not None:
                return hops
    return []


def _through(
    jumps: Sequence[Jump], known: Mapping[str, Any], ours: Mapping[str, Any], added: dict[str, dict[str, Any]]
) -> str:
    """Return the inventory's name of the last jump host in ``jumps``. The result is empty when ``jumps`` is empty. Jump
    hosts that are not in the inventory are put into ``added``, as new hosts of the inventory. The gateway of each new host
    is the previous jump host in ``jumps``.
    """
    through = ""
    for hop in jumps:
        hosts = {name: {**known.get(name, {}), **(ours.get(name) or {})} for name in (*known, *ours)}
        name = next((name for name, fields in hosts.items() if hop.is_host(name, fields)), "")
        if not name:
            name = hop.address if hop.address not in hosts else f"{hop.user or 'jump'}-{hop.address}"
            added[name] = hop.fields() | ({"gateway": through} if through else {})
        through = name
    return through


def _plain(host: str, key: str, variable: Variable, field: str) -> str:
    value = variable.value
    what = (
        "is encrypted with ansible-vault"
        if isinstance(value, Vaulted)
        else f"is an expression, {value!r}"
        if isinstance(value, str) and ("{{" in value or "{%" in value)
        else f"is not a text or number: {value!r}"[:120]
        if isinstance(value, bool) or not isinstance(value, str | int)
        else f"contains control characters: {value!r}"[:120]
        if not str(value).isprintable()
        else ""
    )
    if what:
        raise InventoryError(
            f"{key} of host {host!r} {what}; Drillbook does not support this",
            where=variable.where,
            hint=f"write the value into the inventory file: `hosts: {{{host}: {{{field}: ...}}}}`",
        )
    return str(value)


def _port(name: str, variable: Variable, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
        raise InventoryError(
            f"the port of host {name!r} must be a number from 1 to 65535, not {text[:40]!r}", where=variable.where
        )
    return int(text)
