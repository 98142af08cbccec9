"""Examines hosts for ``init`` without changing them, and writes an inventory of the services that run there.

The script ``templates/look/look.sh`` runs once on each host. It lists listening sockets and their processes. The scripts of the
systems follow it, and the systems recognise their services (``sdk.looks``). In the inventory, comments mark the properties that
the scripts could not see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from drillbook.cli.rehearsal_project import address_parts
from drillbook.errors import HostError, UsageError, escaped
from drillbook.hosts.open import open_host
from drillbook.sdk import looks
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.looks import Entry, Listener, Look, Recognised, Seen, of_listener, remark, unit_line

NAME = "inventory/found.yml"
"""Path of the new inventory in the project."""
PATIENCE_S = 60
IGNORED = ("sshd", "systemd", "systemd-resolve")
"""Programs of the operating system that are never listed as services. Any other program that no system recognises is written
to the inventory in comments, as a service of the kind `tcp`.
"""
_KEY = re.compile(r"`hosts\.(?P<host>[^`]+)\.(?P<field>\w+)`")
"""Pattern of a key of a host in the text of a hint, such as `hosts.db1.address`."""
Targets = dict[str, Target]
"""Hosts of the inventory, including the jump host. The key of each host is its name."""


@dataclass(frozen=True, slots=True)
class Service:
    """An entry under `services` in the inventory. ``fields``: its lines without indentation. ``remark``: True when the
    whole entry is written as a comment.
    """

    name: str
    fields: tuple[str, ...]
    remark: bool = False
    kind: str = ""
    host: str = ""
    unit: str = ""
    status: int | None = None
    """Status of the service's answer to the controller. It is None when the service did not answer, or was not asked because
    of its kind.
    """
    risk: int = 9
    """Risk of stopping the service; see ``Look.RISK``."""


def hosts(addresses: Sequence[str], identity: str, known_hosts: str, gateway: str) -> tuple[Targets, dict[str, Seen]]:
    """Examine the hosts at ``addresses``. Returns these hosts in the form of an inventory, and the observations on each
    host.

    Each address has the form [USER@]HOST[:PORT]. ``identity`` and ``known_hosts`` are paths on the controller, and
    ``gateway`` is the address of a jump host. These three arguments can be empty. Raises UsageError for an invalid
    address, and HostError when a host cannot be reached or the script fails.
    """
    targets = _targets(addresses, identity, known_hosts, gateway)
    return targets, {name: look(target, targets) for name, target in targets.items() if not (gateway and name == "gateway")}


def look(target: Target, targets: Targets) -> Seen:
    """Run the script on ``target``, and return its observations. Raises HostError when the host cannot be reached or
    the script fails.
    """
    host = open_host(target, targets=targets)
    try:
        return parse(host.run(["sh", "-s"], stdin=script().encode(), deadline=Deadline.after(PATIENCE_S)).check().text)
    except HostError as error:
        error.hint = _KEY.sub(_option, error.hint)
        raise
    finally:
        host.close()


def script() -> str:
    """Return the shell script that examines a host. It consists of a general part and of one part for each supported
    system, such as a database server. The part of each system runs in its own subshell.
    """
    general = files("drillbook.cli").joinpath("templates", "look", "look.sh").read_text(encoding="utf-8")
    own = (f"(\n{each.SCRIPT}\n) </dev/null\n" for each in looks.known().values() if each.SCRIPT)
    return f"{general}{''.join(own)}exit 0\n"


def _option(key: re.Match[str]) -> str:
    """Return the option of ``init`` that sets the value of ``key``. ``key``: key in the new inventory."""
    if key["field"] in ("identity", "known_hosts"):
        return f"`--{key['field'].replace('_', '-')}`"
    return f"the {key['field']} in `{'--gateway' if key['host'] == 'gateway' else '--look'}`"


def _targets(hosts: Sequence[str], identity: str, known_hosts: str, gateway: str) -> Targets:
    paths = {"identity": identity, "known_hosts": known_hosts}
    common: dict[str, Any] = {key: str(Path(path).expanduser().resolve()) for key, path in paths.items() if path}
    named = {"gateway": Target(name="gateway", **address_parts(gateway), **common)} if gateway else {}
    for number, address in enumerate(hosts, 1):
        parts = address_parts(address)
        name = _host_name(str(parts["address"]), number)
        if name in named:
            name = f"host-{number}"
        named[name] = Target(name=name, **parts, **common, gateway="gateway" if gateway else "")
    if not hosts:
        raise UsageError("--look names no host", hint="write --look [USER@]HOST[:PORT]")
    return named


def _host_name(address: str, number: int) -> str:
    try:
        ip_address(address)
    except ValueError:
        name = address.partition(".")[0]
        return f"host-{number}" if name in ("all", "controller", "") else name
    return f"host-{number}"


def parse(output: str) -> Seen:
    """Read the output of the script. Lines that have an unexpected form are ignored, so that no output of a host can
    make this function fail.
    """
    rows: dict[str, list[list[str]]] = {}
    for line in output.splitlines():
        kind, *rest = line.split("\t")
        rows.setdefault(kind, []).append([*rest, *[""] * 9])
    processes = {row[0]: row for row in rows.get("process", [])}
    seen = Seen(_first(rows, "os"), _first(rows, "user"), _first(rows, "root") or "none", rows=rows)
    seen.units = {pid: _unit(row[2]) for pid, row in processes.items()}
    holders: dict[str, list[str]] = {}
    for pid, inode, *_ in rows.get("holds", []):
        holders.setdefault(inode, []).append(pid)
    for place, inode, *_ in rows.get("listen", []):
        if not re.fullmatch(r"(?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4}", place):
            continue
        port, loopback = _place(place)
        held = [processes[pid] for pid in holders.get(inode, []) if pid in processes]
        if held:
            pid, program, _, folder = held[0][:4]
            _add(seen, Listener(port, loopback, program, seen.units[pid], folder))
        elif port not in seen.unseen:
            seen.unseen.append(port)
    taken = {listener.port for listener in seen.listeners}
    taken |= {service.port for look in looks.known().values() for service in look.others(seen) if service.runs}
    seen.unseen = [port for port in seen.unseen if port not in taken]
    return seen


def _first(rows: dict[str, list[list[str]]], kind: str) -> str:
    return rows[kind][0][0] if kind in rows else ""


def _place(place: str) -> tuple[int, bool]:
    """Return the port of a socket, and True when its address is a loopback address. ``place``: address and port in the
    form of /proc/net/tcp (see proc_net_tcp in the documentation of Linux).
    """
    address, _, port = place.partition(":")
    mapped = address[:24] == "0000000000000000FFFF0000"
    loopback = address == "0" * 24 + "01000000" or ((len(address) == 8 or mapped) and address.endswith("7F"))
    return int(port, 16), loopback


def _unit(group: str) -> str:
    """Return the name of the systemd service in ``group``, the path of a cgroup. The result is empty when the path
    names no service, or when the service belongs to the service manager of a user.
    """
    units = re.findall(r"/([^/]+)\.service(?=/|$)", group)
    return "" if not units or any(unit.startswith("user@") for unit in units) else units[-1]


def _add(seen: Seen, new: Listener) -> None:
    """Add the listener ``new`` to ``seen``. If the same program already listens on this port, both listeners are merged.
    The result counts as loopback only if both use a loopback address.
    """
    for index, listener in enumerate(seen.listeners):
        if (listener.port, listener.program, listener.unit) == (new.port, new.program, new.unit):
            seen.listeners[index] = new if listener.loopback else listener
            return
    seen.listeners.append(new)


def remarks(seen: Seen) -> list[str]:
    """Return sentences about what could not be seen of a host and its services, and about services that do not run."""
    sentences = []
    if seen.root == "none":
        sentences.append(
            "sudo is not allowed without a password: other users' processes, folders and databases were not seen"
        )
    if seen.unseen:
        sentences.append(
            f"something listens on port {', '.join(map(str, sorted(seen.unseen)))}; its program could not be seen"
        )
    sentences += [sentence for look in looks.known().values() for sentence in look.remarks(seen)]
    return [escaped(sentence) for sentence in sentences]


def text(targets: Targets, seen_by_host: dict[str, Seen], entries: Sequence[Service]) -> str:
    """Return the sections `hosts` and `services` of an inventory as text. ``targets``: the hosts. ``seen_by_host``: the
    observations on each host. ``entries``: the services.
    """
    lines = ["", "hosts:"]
    for name, target in targets.items():
        seen = seen_by_host.get(name)
        values = target.model_dump(include={"address", "port", "user", "identity", "known_hosts", "gateway"})
        parts = [f"{key}: {json.dumps(value)}" for key, value in values.items() if value]
        parts += ["become: true"] * (seen is not None and seen.root == "sudo")
        lines.append(f"  {json.dumps(name)}: {{{', '.join(parts)}}}" + remark(seen.system if seen else "jump host"))
        lines += [f"  # {line}" for line in (remarks(seen) if seen else [])]
    lines += ["", "services:" if any(not service.remark for service in entries) else "services: {}"]
    for entry in entries:
        mark = "#" if entry.remark else ""
        lines += [f"{mark}  {entry.name}:", *(f"{mark}    {line}" for line in entry.fields)]
    return "\n".join(lines) + "\n"


def services(targets: Targets, seen_by_host: dict[str, Seen]) -> list[Service]:
    """Return the inventory entries of all services in the observations ``seen_by_host``. The controller sends one request to
    each service whose system supports this.
    """
    entries: list[Service] = []
    for name, seen in seen_by_host.items():
        entries += _services(name, targets[name], seen, {entry.name for entry in entries})
    return entries


def _services(host: str, target: Target, seen: Seen, taken: set[str]) -> Iterator[Service]:
    for kind, look, server in _recognised(seen):
        name = _free(server.name, host, server.more, taken)
        address = target.address or host
        if look is None:
            lines = [f"kind: {kind}{remark(f'program {server.program}')}", f"host: {json.dumps(host)}", *_unknown(server)]
            yield Service(name, tuple(lines), True, kind, host, server.unit)
            continue
        entry = Entry(name, host, address, seen.user, look.asked(server, address))
        lines = [f"kind: {kind}{remark(look.kind_remark(server))}", f"host: {json.dumps(host)}", *look.fields(server, entry)]
        yield Service(name, tuple(lines), not server.runs, kind, host, server.unit, entry.answered, look.RISK)


def _recognised(seen: Seen) -> Iterator[tuple[str, Look | None, Recognised]]:
    """Yield each service that was seen: its kind, the ``Look`` of the system that recognised it, and its properties. First
    come services that were recognised without a listening process. A listening program that no system recognises has the
    kind `tcp`, and None instead of a ``Look``.
    """
    known = looks.known()
    for kind, look in known.items():
        yield from ((kind, look, server) for server in look.others(seen))
    for listener in seen.listeners:
        if listener.program in IGNORED:
            continue
        kind = next((kind for kind, look in known.items() if look.recognises(listener)), "")
        if not kind:
            yield "tcp", None, of_listener(listener)
        elif service := known[kind].of_listener(listener):
            yield kind, known[kind], service


def _unknown(service: Recognised) -> Iterator[str]:
    yield from ("reach: ssh", f"port: {service.port}", unit_line(service.unit))


def _free(base: str, host: str, more: str, taken: set[str]) -> str:
    """Find a name for a service that is not in ``taken``. Add this name to ``taken``, and return it."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", base).strip("-").lower() or "service"
    plain = plain if plain[0].isalpha() else f"service-{plain}"
    tries = [plain, f"{plain}-{host}", *(f"{plain}-{more}{n}" for n in ("", *(f"-{n}" for n in range(2, 1000))))]
    name = next(attempt for attempt in tries if attempt not in taken)
    taken.add(name)
    return name
