"""Opening a connection with Fabric, and saying in plain words why it did not open."""

from __future__ import annotations

import functools
import socket
import threading
from pathlib import Path
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from drillbook.errors import AuthenticationFailed, DrillbookError, HostError, HostUnreachable, UsageError
from drillbook.hosts.ssh.keys import KeysInOrder, KnownHosts, known_hosts_files
from drillbook.hosts.ssh.transport import SteadyTransport
from drillbook.sdk.host import Target, printable

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS = 15


class _Connection(fabric.Connection):  # type: ignore[misc]
    """Sets an attribute of its own where Fabric writes into the configuration, which all threads share.

    Each such write empties the configuration for a moment, in which another connection finds nothing in it.
    """

    inline_ssh_env = None


def shared_config(ssh_config: str = "") -> fabric.Config:
    """The one Fabric configuration of all connections, with ~/.ssh/config or the file ``ssh_config`` in it.

    Raises UsageError when the file is missing or wrong.
    """
    return _config(str(Path(ssh_config).expanduser()) if ssh_config else "", str(Path.home()))


@functools.lru_cache(maxsize=16)
def _config(ssh_config: str, _home: str) -> fabric.Config:
    # lazy: Fabric's own files (~/.fabric.yaml) could switch off what is promised here about keys.
    config = fabric.Config(lazy=True, runtime_ssh_path=ssh_config or None)
    try:
        config.load_ssh_config()
    except (OSError, UnicodeDecodeError, paramiko.SSHException) as error:
        raise UsageError(f"{ssh_config or '~/.ssh/config'} cannot be read: {error}") from None
    return config


class Link:
    """One open connection to a host; ``close`` ends it."""

    def __init__(self, connection: Any, transport: SteadyTransport) -> None:
        """What ``open_link`` makes."""
        self.connection = connection
        self.transport = transport
        self.lock = threading.Lock()
        self.sftp: paramiko.SFTPClient | None = None
        self.shell = ""

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as can be seen from here."""
        return bool(self.transport.is_active())

    def close(self) -> None:
        """End the connection and what runs over it."""
        # Not Connection.close(), which leaves the client as it is when the transport died by itself.
        self.connection.client.close()


def open_link(target: Target, *, ssh_config: str = "", gateway: Link | None = None) -> Link:
    """Connect to ``target``, through ``gateway`` if there is one.

    Raises HostUnreachable, HostKeyUnknown, HostKeyChanged, AuthenticationFailed, and HostError for an unusable identity.
    """
    config = shared_config(ssh_config)
    connection = _Connection(
        target.address or target.name,
        user=target.user or None,
        port=target.port,
        config=config,
        # "" and not None: Fabric would make jump connections of its own, which accept any host key.
        gateway=gateway.connection if gateway else proxy_command(target, ssh_config),
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs={
            "transport_factory": SteadyTransport,
            "banner_timeout": CONNECT_SECONDS,
            "auth_timeout": CONNECT_SECONDS,
            "channel_timeout": CONNECT_SECONDS,
        },
    )
    keys = KeysInOrder(target.name, connection.user, target.identity, connection.ssh_config)
    connection.connect_kwargs["auth_strategy"] = keys
    files = known_hosts_files(target.known_hosts, connection.ssh_config)
    known = KnownHosts(
        target.name, connection.host, connection.port, files, alias=connection.ssh_config.get("hostkeyalias", "")
    )
    known.load(connection.client)
    try:
        _open(connection, target, keys, known)
    except BaseException:
        connection.client.close()
        raise
    finally:
        keys.close()
    connection.transport.set_keepalive(KEEPALIVE_SECONDS)
    return Link(connection, connection.transport)


def _open(connection: Any, target: Target, keys: KeysInOrder, known: KnownHosts) -> None:
    """Open ``connection``, with every error of the libraries below put into words."""
    name, place = target.name, f"{connection.host}:{connection.port}"
    if connection.gateway:
        place += " through its gateway"
    try:
        connection.open()
        if not connection.transport.is_authenticated():
            raise AuthenticationFailed(f"{name}: {place} asks {connection.user} for more than a key", host=name)
    except DrillbookError:
        raise
    except paramiko.BadHostKeyException as error:
        raise known.changed(error.key, error.expected_key) from None
    except paramiko.AuthenticationException as error:
        raise _refused(connection, target, keys, error) from None
    except NoValidConnectionsError as error:
        reasons = sorted({str(getattr(reason, "strerror", reason)) for reason in error.errors.values()})
        raise HostUnreachable(f"{name}: cannot connect to {place}: {', '.join(reasons)}", host=name) from None
    except TimeoutError:
        raise HostUnreachable(f"{name}: no answer from {place} within {CONNECT_SECONDS} s", host=name) from None
    except socket.gaierror as error:
        raise HostUnreachable(
            f"{name}: the name {connection.host} is not known: {error.strerror}",
            host=name,
            hint="set `address` in the inventory, or HostName in ~/.ssh/config",
        ) from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        reason = printable(str(error) or type(error).__name__, limit=300)
        raise HostUnreachable(f"{name}: no SSH connection to {place}: {reason}", host=name) from None


def _refused(connection: Any, target: Target, keys: KeysInOrder, error: Exception) -> HostError:
    """The error for a host that let nobody in."""
    name = target.name
    if not connection.client.get_transport().is_active():
        reason = printable(str(error).splitlines()[-1] if str(error) else "connection lost", limit=200)
        return HostUnreachable(f"{name}: {connection.host}:{connection.port} hung up during login: {reason}", host=name)
    tried = ", ".join(keys.tried) or "nothing: there is no key to offer"
    return AuthenticationFailed(
        f"{name}: {connection.host}:{connection.port} does not let {connection.user} in; tried {tried}",
        host=name,
        hint=f"put the public key into ~{connection.user}/.ssh/authorized_keys there, or set `user` or `identity`",
    )


def proxy_command(target: Target, ssh_config: str) -> str:
    """The ProxyCommand of ~/.ssh/config for ``target``, or nothing."""
    found = shared_config(ssh_config).base_ssh_config.lookup(target.address or target.name)
    command = found.get("proxycommand") or ""
    return "" if "proxyjump" in found else str(command)


def proxy_jumps(target: Target, ssh_config: str) -> list[Target]:
    """The hosts of ProxyJump in ~/.ssh/config, nearest to the controller first; none when it leads to itself."""
    found = shared_config(ssh_config).base_ssh_config.lookup(target.address or target.name)
    jumps = []
    for hop in found.get("proxyjump", "none").split(","):
        if hop.strip().lower() in {"", "none"}:
            continue
        shorthand = fabric.connection.derive_shorthand(hop.strip().removeprefix("ssh://"))
        if shorthand["host"] in {target.address or target.name, found.get("hostname")}:
            return []
        jumps.append(Target(name=shorthand["host"], user=shorthand["user"] or "", port=shorthand["port"]))
    return jumps
