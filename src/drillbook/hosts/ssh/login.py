"""Opens connections with Fabric, and replaces errors of Fabric by Drillbook's own errors."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
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
NO_BANNER = "Error reading SSH protocol banner"
"""Beginning of Paramiko's message when the server sent no banner."""
KEEPALIVE_SECONDS = 15


class _Connection(fabric.Connection):  # type: ignore[misc]
    """Connection that stores the setting ``inline_ssh_env`` in its own object. Fabric's class writes this setting into the
    configuration that all threads share. During such a write, the shared configuration is empty for a moment, so that other
    connections find no settings.
    """

    inline_ssh_env = None


def shared_config(ssh_config: str = "") -> fabric.Config:
    """Return the Fabric configuration that all connections share. It contains the settings of ~/.ssh/config.

    ``ssh_config``: file to read instead of ~/.ssh/config. Raises UsageError when the file is missing or invalid.
    """
    return _config(str(Path(ssh_config).expanduser()) if ssh_config else "", str(Path.home()))


@functools.lru_cache(maxsize=16)
def _config(ssh_config: str, _home: str) -> fabric.Config:
    # lazy: skips Fabric's own files (~/.fabric.yaml), which could disable the verification of host keys.
    config = fabric.Config(lazy=True, runtime_ssh_path=ssh_config or None)
    try:
        config.load_ssh_config()
    except (OSError, UnicodeDecodeError, paramiko.SSHException) as error:
        raise UsageError(f"{ssh_config or '~/.ssh/config'} cannot be read: {error}") from None
    return config


class Link:
    """One open connection to a host."""

    def __init__(self, connection: Any, transport: SteadyTransport) -> None:
        """Store an open connection. Only ``open_link`` creates a Link."""
        self.connection = connection
        self.transport = transport
        self.lock = threading.Lock()
        self.sftp: paramiko.SFTPClient | None = None
        self.shell = ""
        self.spare: Callable[[], None] = lambda: None
        """Function that closes an open channel which is not in use. It is called when the server refuses to open a new channel."""

    @property
    def alive(self) -> bool:
        """Return True while the connection is open, as far as this machine can tell without asking the server."""
        return bool(self.transport.is_active())

    def close(self) -> None:
        """Close the connection with all its channels."""
        # Connection.close() does not close the client if its transport is already dead.
        self.connection.client.close()


def open_link(target: Target, *, ssh_config: str = "", gateway: Link | None = None) -> Link:
    """Connect to ``target``, through ``gateway`` if it is given.

    Raises HostUnreachable when no connection is possible. Raises HostKeyUnknown when the key of the host is not known, and
    HostKeyChanged when this key differs from the known key. Raises AuthenticationFailed when the login fails, and HostError
    when the private key for the login cannot be used.
    """
    config = shared_config(ssh_config)
    connection = _Connection(
        target.address or target.name,
        user=target.user or None,
        port=target.port,
        config=config,
        # "" and not None: with None, Fabric would open its own jump connections, which accept any host key.
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
    """Open ``connection``. Errors of the libraries are replaced by Drillbook's own errors."""
    name, place = target.name, f"{connection.host}:{connection.port}"
    if connection.gateway:
        place += " through its gateway"
    try:
        connection.open()
        if not connection.transport.is_authenticated():
            raise AuthenticationFailed(
                f"{name}: {place} accepted a key of {connection.user}, but requires another login method as well", host=name
            )
    except DrillbookError:
        raise
    except paramiko.BadHostKeyException as error:
        raise known.changed(error.key, error.expected_key) from None
    except paramiko.AuthenticationException as error:
        raise _refused(connection, target, keys, error) from None
    except NoValidConnectionsError as error:
        reasons = sorted({str(getattr(reason, "strerror", reason)) for reason in error.errors.values()})
        raise HostUnreachable(
            f"{name}: cannot connect to {place}: {', '.join(reasons)}", host=name, hint=_place_hint(target)
        ) from None
    except TimeoutError:
        raise HostUnreachable(
            f"{name}: no answer from {place} within {CONNECT_SECONDS} s", host=name, hint=_place_hint(target)
        ) from None
    except socket.gaierror as error:
        raise HostUnreachable(
            f"{name}: the name {connection.host} cannot be resolved: {error.strerror}",
            host=name,
            hint=f"correct {target.setting('address')}, or HostName in ~/.ssh/config",
        ) from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        if str(error).startswith(NO_BANNER):
            raise _not_introduced(target, place, error) from None
        reason = printable(str(error) or type(error).__name__, limit=300)
        raise HostUnreachable(f"{name}: no SSH connection to {place}: {reason}", host=name) from None


def _not_introduced(target: Target, place: str, error: BaseException) -> HostUnreachable:
    """Return the error for a server that sent no SSH banner, which is the first line of every SSH server."""
    if isinstance(error.__context__, TimeoutError):
        said = f"the server accepted the connection, but sent no SSH banner within {CONNECT_SECONDS} s"
        hint = f"check that the host is not overloaded, and that {target.setting('port')} is the port of its SSH server"
    else:
        said = "the server closed the connection before it sent an SSH banner"
        hint = (
            "read the log of sshd on the host: MaxStartups, PerSourcePenalties or access rules may refuse this machine; or "
            f"{target.setting('port')} is the port of another program"
        )
    return HostUnreachable(f"{target.name}: no SSH connection to {place}: {said}", host=target.name, hint=hint)


def _refused(connection: Any, target: Target, keys: KeysInOrder, error: Exception) -> HostError:
    """Return the error for a host that refused the login, or that closed the connection during the login."""
    name = target.name
    if not connection.client.get_transport().is_active():
        reason = printable(str(error).splitlines()[-1] if str(error) else "connection lost", limit=200)
        return HostUnreachable(
            f"{name}: {connection.host}:{connection.port} closed the connection during login: {reason}", host=name
        )
    tried = ", ".join(keys.tried) or "nothing, because no key is available"
    return AuthenticationFailed(
        f"{name}: {connection.host}:{connection.port} refused the login of {connection.user}; tried {tried}",
        host=name,
        hint=(
            f"add the public key to ~{connection.user}/.ssh/authorized_keys on the host, or correct {target.setting('user')} "
            f"or {target.setting('identity')}"
        ),
    )


def _place_hint(target: Target) -> str:
    """Return the hint for a host that does not answer."""
    return f"check that the host runs and permits SSH, and correct {target.setting('address')} or {target.setting('port')}"


def proxy_command(target: Target, ssh_config: str) -> str:
    """Return the ProxyCommand for ``target`` in ~/.ssh/config. The result is empty if ProxyCommand is not set, or if
    ProxyJump is set.
    """
    settings = shared_config(ssh_config).base_ssh_config.lookup(target.address or target.name)
    command = settings.get("proxycommand") or ""
    return "" if "proxyjump" in settings else str(command)


def proxy_jumps(target: Target, ssh_config: str) -> list[Target]:
    """Return the hosts of ProxyJump for ``target`` in ~/.ssh/config, from the first to the last.

    The result is empty when ``target`` itself is one of these hosts.
    """
    settings = shared_config(ssh_config).base_ssh_config.lookup(target.address or target.name)
    jumps = []
    for hop in settings.get("proxyjump", "none").split(","):
        if hop.strip().lower() in {"", "none"}:
            continue
        shorthand = fabric.connection.derive_shorthand(hop.strip().removeprefix("ssh://"))
        if shorthand["host"] in {target.address or target.name, settings.get("hostname")}:
            return []
        jumps.append(Target(name=shorthand["host"], user=shorthand["user"] or "", port=shorthand["port"]))
    return jumps
