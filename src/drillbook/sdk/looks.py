"""Recognises services on a host for `init --look`. Each class recognises the processes of one kind of service, and writes the
lines that describe such a service in the new inventory.

A system declares the module ``looks``, whose mapping ``LOOKS`` has an instance of a class derived from ``Look`` for each kind of
service that can be recognised. Only `init` imports these modules.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from drillbook.errors import escaped
from drillbook.sdk import discovery, plugin_loading

Row = Sequence[str]
"""Fields of one line that a script printed. If the line has too few fields, empty texts are added at the end."""


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


@dataclass(slots=True)
class Seen:
    """Everything that is known about one host. The general script and the scripts of the systems reported it."""

    system: str = ""
    user: str = ""
    """User that ran the scripts: the SSH user."""
    root: str = "none"
    """Means by which the scripts get the rights of root: ``self`` when they run as root, ``sudo``, or ``none``."""
    listeners: list[Listener] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)
    """Ports whose listening process could not be seen."""
    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """Lines that the scripts printed. The key is the first word of a line, and the value lists the fields of each such line.
    """
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit of systemd for each listening process, by its process id. The unit is empty for a process without one."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A service that was recognised on a host.

    ``name``: name for the service in the inventory. ``more``: text that is added to this name if another service has the
    same name. ``unit``: unit of systemd of the service, or an empty text. ``runs``: False for a service that does not run.
    Such a service is only a comment in the inventory. ``details``: further facts about the service. Their type depends on
    the kind of the service.
    """

    name: str
    more: str
    port: int
    unit: str = ""
    runs: bool = True
    loopback: bool = False
    program: str = ""
    folder: str = ""
    details: Any = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Properties of a recognised service that are known only when the inventory is written.

    ``name``: final name of the service in the inventory. ``host``: name of its host in the inventory. ``address``: address
    at which the controller reaches this host. ``user``: SSH user of this host. ``answered``: result of ``Look.asked``.
    """

    name: str
    host: str
    address: str
    user: str
    answered: int | None = None

    @property
    def variable(self) -> str:
        """Beginning of names of environment variables for secrets of the service, such as ``SHOP_DB``."""
        return re.sub(r"[^A-Z0-9]", "_", self.name.upper())


class Look(ABC):
    """Recognition of services of one kind on a host, and the lines that describe these services in the inventory."""

    PROGRAMS: ClassVar[tuple[str, ...]] = ()
    """Names of the listening processes of a service of this kind. Patterns such as ``gunicorn*`` are allowed, too. Linux cuts the
    name of a process after 15 characters.
    """
    RISK: ClassVar[int] = 5
    """Risk of stopping a service of this kind, from 0 to 9. The risk 0 means that the service stores no data. The first drill stops
    a service with the lowest risk.
    """
    SCRIPT: ClassVar[str] = ""
    """Commands for `sh` that run on every host after the general script, and only read. Each printed line begins with a word that no
    other script prints. Tabs separate its fields. The commands can use what the general script defines: `privileged` and `as_owner`
    run a command as root and as another user, `$root` and `$user` are those of ``Seen``, `$tab` is a tab, and `$holders` has a line
    with the process id and the inode of each listening socket.
    """

    def recognises(self, listener: Listener) -> bool:
        """Return True when the process belongs to a service of this kind."""
        return any(fnmatchcase(listener.program, pattern) for pattern in self.PROGRAMS)

    def of_listener(self, listener: Listener) -> Recognised | None:
        """Return the service to which a process belongs. ``listener``: a process for which ``recognises`` returned True.

        Return None when ``others`` already yields this service.
        """
        return of_listener(listener)

    def others(self, seen: Seen) -> Iterator[Recognised]:
        """Yield the services that are recognised without a listening process, for example from lines that ``SCRIPT`` printed."""
        yield from ()

    def asked(self, service: Recognised, address: str) -> int | None:
        """Send a request from the controller to a service, and return the status of the answer. Return None when the service does
        not answer. Also return None when services of this kind get no request.
        """
        return None

    @abstractmethod
    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines that describe the service in the inventory, without indentation. The lines ``kind`` and ``host`` come
        before them, and are not part of them."""

    def kind_remark(self, service: Recognised) -> str:
        """Return the comment for the line `kind` of the service in the inventory."""
        return f"program {service.program}"

    def remarks(self, seen: Seen) -> Iterator[str]:
        """Yield remarks for the user. They are about services that do not run, and about unknown properties of services."""
        yield from ()


def known() -> dict[str, Look]:
    """Return the ``Look`` of each kind of service. Raises PluginError when a plugin's module cannot be used."""
    tables = (plugin_loading.table(system, "looks", "LOOKS", Look) for system in discovery.systems() if system.looks)
    return {kind: look for table in tables for kind, look in table.items()}


def of_listener(listener: Listener) -> Recognised:
    """Return the service of a listening process. The name of the service is the name of its unit. For a process without a unit,
    it is the name of the program."""
    name, more = listener.unit or listener.program, str(listener.port)
    return Recognised(
        name,
        more,
        listener.port,
        listener.unit,
        loopback=listener.loopback,
        program=listener.program,
        folder=listener.folder,
    )


def remark(words: str) -> str:
    """Return a comment for the end of a line in the inventory. The result is empty when ``words`` is empty."""
    return f"  # {escaped(words)}" if words else ""


def unit_line(unit: str) -> str:
    """Return the line ``unit`` of a service, or a comment for a service without a unit of systemd."""
    return f"unit: {json.dumps(unit)}" if unit else "# unit: no unit of systemd runs it"


def server_fields(service: Recognised, entry: Entry) -> Iterator[str]:
    """Yield the lines that describe a database server in the inventory. Use this for a kind of server that may ask for a
    password, and whose working directory is its data directory.
    """
    yield f"port: {service.port}"
    yield f"# password: !env {entry.variable}_PASSWORD   # secret, if the server asks for one"
    yield f"data_directory: {json.dumps(service.folder)}" if service.folder else "# data_directory: not seen"
    yield unit_line(service.unit)
