"""Examines hosts for ``init`` without changing them, and writes an inventory of the services that run there.

The script ``templates/look/look.sh`` runs once on each host. It lists listening sockets, their processes, and
PostgreSQL clusters. In the inventory, comments mark the properties that the script could not see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from drillbook.cli.rehearsal_project import address_parts
from drillbook.errors import HostError, UsageError, escaped
from drillbook.hosts.open import open_host
from drillbook.sdk import web
from drillbook.sdk.host import Deadline, Target

NAME = "inventory/found.yml"
"""Path of the new inventory in the project."""
PATIENCE_S = 60
KINDS = {"redis-server": "redis", "valkey-server": "redis", "mariadbd": "mariadb"} | dict.fromkeys(
    ("nginx", "apache2", "httpd", "caddy", "haproxy", "gunicorn", "uvicorn", "hypercorn", "node", "puma"), "http"
)
"""Kind of service that each known program provides. The key is the name of the program. PostgreSQL is found by its
clusters, and the programs in ``IGNORED`` are left out. A service of any other program is written to the inventory as a
comment.
"""
IGNORED = ("sshd", "systemd", "systemd-resolve")
DATABASES = ("postgres", "postmaster")
_KEY = re.compile(r"`hosts\.(?P<host>[^`]+)\.(?P<field>\w+)`")
"""Pattern of a key of a host in the text of a hint, such as `hosts.db1.address`."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
TRY_S = 3.0
"""Time limit, in seconds, of a request to a web server that was found."""
Targets = dict[str, Target]
"""Hosts of the inventory, including the jump host. The key of each host is its name."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens on a TCP port."""

    port: int
    loopback: bool
    """True when the process listens on a loopback address, so that only programs on the host can connect."""
    program: str
    unit: str
    folder: str
    """Working directory of the process. The text is empty if the directory could not be seen."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL cluster. When the script runs without the rights of root, some fields may be empty, such as
    ``socket`` and ``databases``.
    """

    version: str
    name: str
    port: int
    status: str
    owner: str
    data: str
    bin: str
    socket: str
    unit: str
    databases: tuple[tuple[str, str], ...] = ()
    """Pairs of the name of a database and the name of its owner."""


@dataclass(slots=True)
class Seen:
    """Everything that the script reported about one host."""

    system: str = ""
    user: str = ""
    """User that ran the script: the SSH user."""
    root: str = "none"
    """Means by which the script gets the rights of root: ``self`` when it runs as root, ``sudo``, or ``none``."""
    listeners: list[Listener] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)
    """Ports whose listening process the script could not see."""


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
    """HTTP status of the service's answer to the controller. None when the service did not answer, or is not a web
    server.
    """


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
    script = files("drillbook.cli").joinpath("templates", "look", "look.sh").read_bytes()
    host = open_host(target, targets=targets)
    try:
        return parse(host.run(["sh", "-s"], stdin=script, deadline=Deadline.after(PATIENCE_S)).check().text)
    except HostError as error:
        error.hint = _KEY.sub(_option, error.hint)
        raise
    finally:
        host.close()


def _option(key: re.Match[str]) -> str:
    """Return the option of ``init`` from which the value of ``key`` came. ``key``: key in the inventory that is to be written."""
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
    seen = Seen(system=_first(rows, "os"), root=_first(rows, "root") or "none", user=_first(rows, "user"))
    processes = {row[0]: row for row in rows.get("process", [])}
    holders: dict[str, list[str]] = {}
    for pid, inode, *_ in rows.get("holds", []):
        holders.setdefault(inode, []).append(pid)
    for place, inode, *_ in rows.get("listen", []):
        if not re.fullmatch(r"(?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4}", place):
            continue
        port, loopback = _place(place)
        held = [processes[pid] for pid in holders.get(inode, []) if pid in processes]
        if held:
            program, group, folder = held[0][1:4]
            _add(seen, Listener(port, loopback, program, _unit(group), folder))
        elif port not in seen.unseen:
            seen.unseen.append(port)
    seen.clusters = list(_clusters(rows, processes))
    taken = {cluster.port for cluster in seen.clusters if cluster.status == "online"} | {
        listener.port for listener in seen.listeners
    }
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
    """Return the name of the systemd service in the path of a cgroup. The result is empty when the path names no service,
    or when the service manager of a user runs the service.
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


def _clusters(rows: dict[str, list[list[str]]], processes: dict[str, list[str]]) -> Iterator[Cluster]:
    """Yield one cluster for each data directory. First come the clusters that Debian's tools list, and then the running
    servers that these tools do not list.
    """
    known: set[str] = set()
    for version, name, port, status, owner, data, binaries, socket, pid, *_ in rows.get("cluster", []):
        if data in known or not port.isdecimal():
            continue
        known.add(data)
        unit = _unit(processes[pid][2]) if pid in processes else ""
        databases = dict.fromkeys((row[1], row[2]) for row in rows.get("database", []) if row[0] == port)
        yield Cluster(
            version,
            name,
            int(port),
            status,
            owner,
            data,
            binaries,
            socket,
            unit or (f"postgresql@{version}-{name}" if name else ""),
            tuple(databases),
        )


def remarks(seen: Seen) -> list[str]:
    """Return sentences about the properties of a host that could not be seen, and about clusters that are not running."""
    sentences = []
    if seen.root == "none":
        sentences.append(
            "sudo is not allowed without a password: other users' processes, folders and databases were not seen"
        )
    if seen.unseen:
        sentences.append(
            f"something listens on port {', '.join(map(str, sorted(seen.unseen)))}; its program could not be seen"
        )
    ports = {cluster.port for cluster in seen.clusters if cluster.status == "online"}
    sentences += [
        f"PostgreSQL listens on port {listener.port}; its data directory could not be seen"
        for listener in seen.listeners
        if listener.program in DATABASES and listener.port not in ports
    ]
    sentences += [
        f"the cluster {cluster.data} is not running ({cluster.status})"
        for cluster in seen.clusters
        if cluster.status != "online"
    ]
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
        lines.append(f"  {json.dumps(name)}: {{{', '.join(parts)}}}" + _remark(seen.system if seen else "jump host"))
        lines += [f"  # {line}" for line in (remarks(seen) if seen else [])]
    lines += ["", "services:" if any(not service.remark for service in entries) else "services: {}"]
    for entry in entries:
        mark = "#" if entry.remark else ""
        lines += [f"{mark}  {entry.name}:", *(f"{mark}    {line}" for line in entry.fields)]
    return "\n".join(lines) + "\n"


def _remark(words: str) -> str:
    return f"  # {escaped(words)}" if words else ""


def services(targets: Targets, seen_by_host: dict[str, Seen]) -> list[Service]:
    """Return the inventory entries of all services in the observations ``seen_by_host``. Each web server is asked once for its
    page ``/``.
    """
    entries: list[Service] = []
    for name, seen in seen_by_host.items():
        entries += _services(name, targets[name], seen, {entry.name for entry in entries})
    return entries


def _services(host: str, target: Target, seen: Seen, taken: set[str]) -> Iterator[Service]:
    for cluster in seen.clusters:
        name = _free("database", host, cluster.name, taken)
        lines = tuple(_postgres(name, host, cluster, seen.user))
        yield Service(name, lines, cluster.status != "online", "postgres", host, cluster.unit)
    for listener in seen.listeners:
        if listener.program in (*IGNORED, *DATABASES):
            continue
        kind = KINDS.get(listener.program, "http" if listener.program.startswith(("gunicorn", "uvicorn")) else "tcp")
        name = _free(listener.unit or listener.program, host, str(listener.port), taken)
        url = _url(target.address or host, listener.port)
        status = _asked(url) if kind == "http" and not listener.loopback else None
        lines = tuple(_listener(name, kind, host, listener, (url, status)))
        yield Service(name, lines, kind == "tcp", kind, host, listener.unit, status)


def _url(address: str, port: int) -> str:
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


def _asked(url: str) -> int | None:
    """Request the page ``/`` of ``url`` from the controller. Returns the HTTP status, or None when there is no answer."""
    try:
        return web.ask(f"{url}/", timeout=TRY_S).status
    except OSError:
        return None


def _free(base: str, host: str, more: str, taken: set[str]) -> str:
    """Return a new name for a service, and add the name to ``taken``. The result is a name that ``taken`` does not
    contain yet.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", base).strip("-").lower() or "service"
    plain = plain if plain[0].isalpha() else f"service-{plain}"
    tries = [plain, f"{plain}-{host}", *(f"{plain}-{more}{n}" for n in ("", *(f"-{n}" for n in range(2, 1000))))]
    name = next(attempt for attempt in tries if attempt not in taken)
    taken.add(name)
    return name


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _postgres(name: str, host: str, cluster: Cluster, user: str) -> Iterator[str]:
    """Yield the inventory lines of a cluster. If the SSH user ``user`` owns the cluster, the line `run_as` is left out."""
    database, role = cluster.databases[0] if cluster.databases else ("DATABASE", "ROLE")
    others = ", ".join(other for other, _ in cluster.databases[1:])
    hint = f"others: {others}" if others else "" if cluster.databases else "not seen: replace DATABASE and ROLE"
    yield f"kind: postgres{_remark(f'PostgreSQL {cluster.version}')}"
    yield from (f"host: {json.dumps(host)}", "reach: ssh", f"port: {cluster.port}")
    yield f"database: {json.dumps(database)}{_remark(hint)}"
    yield (
        "user: "
        f"{json.dumps(role)}{_remark('owner of the database; write the role of the application instead' * bool(cluster.databases))}"
    )
    yield f"password: !env {_variable(name)}_PASSWORD{_remark('secret: the password of this role')}"
    socket = cluster.socket or "/var/run/postgresql"
    guess = "" if cluster.socket else "the usual folder; not seen"
    owner = cluster.owner if _PLAIN.fullmatch(cluster.owner) else "postgres"
    yield f"admin: {{user: {owner}, socket: {json.dumps(socket)}}}{_remark(guess)}"
    yield from [f"run_as: {json.dumps(cluster.owner)}"] if cluster.owner != user else []
    yield f"data_directory: {json.dumps(cluster.data)}"
    yield from ([f"bin: {json.dumps(cluster.bin)}"] if cluster.bin else [])
    yield f"unit: {json.dumps(cluster.unit)}" if cluster.unit else "# unit: no unit of systemd runs it"


def _listener(name: str, kind: str, host: str, listener: Listener, tried: tuple[str, int | None]) -> Iterator[str]:
    yield f"kind: {kind}{_remark(f'program {listener.program}')}"
    yield f"host: {json.dumps(host)}"
    if kind == "http":
        url, status = tried
        note = (
            f"answered {status} here"
            if status
            else "did not answer the controller; write a URL that the controller can reach"
        )
        yield f"url: {json.dumps(url)}{_remark('listens on loopback only: ' * listener.loopback + note)}"
        yield f"health: {{path: /{'' if status in (None, 200) else f', status: {status}'}}}"
    if kind in ("redis", "tcp"):
        yield "reach: ssh"
    yield f"port: {listener.port}"
    if kind in ("redis", "mariadb"):
        yield f"# password: !env {_variable(name)}_PASSWORD   # secret, if the server asks for one"
        yield f"data_directory: {json.dumps(listener.folder)}" if listener.folder else "# data_directory: not seen"
    yield f"unit: {json.dumps(listener.unit)}" if listener.unit else "# unit: no unit of systemd runs it"
