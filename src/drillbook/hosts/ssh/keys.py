"""Private keys of the controller, and known keys of hosts."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

from drillbook.errors import HostError, HostKeyChanged, HostKeyUnknown

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@functools.lru_cache(maxsize=256)
def _loaded(path: str, _modified: int) -> paramiko.PKey:
    # Loading an RSA key takes 0.1 s of CPU time, so all hosts share the loaded key.
    return paramiko.PKey.from_path(path)


def load_key(path: str, *, host: str) -> paramiko.PKey:
    """Load the private key in the file ``path`` with its certificate. Raises HostError when the key cannot be used."""
    file = Path(path).expanduser()
    try:
        return _loaded(str(file), file.stat().st_mtime_ns)
    except OSError as error:
        raise HostError(
            f"{host}: the identity {path} cannot be read: {error.strerror}",
            host=host,
            hint="correct `identity` in the inventory, or IdentityFile in ~/.ssh/config",
        ) from None
    except (TypeError, paramiko.PasswordRequiredException):
        raise HostError(
            f"{host}: the identity {path} needs a passphrase",
            host=host,
            hint=f"run `ssh-add {path}` and leave `identity` empty, or use a key without a passphrase",
        ) from None
    except Exception:  # noqa: BLE001  (the parsers of five key formats raise many types)
        raise HostError(
            f"{host}: the identity {path} is not a usable private key",
            host=host,
            hint="set `identity` to the private key, not to the .pub file",
        ) from None


class Offered(InMemoryPrivateKey):
    """A key that is offered at login, with a name that messages use for this key."""

    def __init__(self, user: str, key: paramiko.PKey, name: str) -> None:
        """Store a ``key`` for the login of ``user``. ``name``: the path or source of the key, for messages."""
        super().__init__(user, key)
        self.name = name


class KeysInOrder(AuthStrategy):
    """Login with the identity in the inventory. If the inventory contains no identity, the login offers the same keys
    as ssh.

    ssh offers the IdentityFile entries of ~/.ssh/config first, then the keys of the agent, and then the default keys.
    """

    def __init__(self, host: str, user: str, identity: str, ssh_config: Any) -> None:
        """Prepare the login.

        The identity is loaded now, so that a missing file is reported before any connection is opened.
        """
        super().__init__(ssh_config=ssh_config)
        self._config: Mapping[str, Any] = ssh_config
        self._host, self._user, self._identity = host, user, identity
        self._agent: paramiko.Agent | None = None
        self._key = load_key(identity, host=host) if identity else None
        self.tried: list[str] = []

    def get_sources(self) -> Iterator[AuthSource]:
        """Yield the keys in the order in which they are offered. Each key is added to ``tried``."""
        for source in self._sources():
            self.tried.append(source.name)
            yield source

    def _sources(self) -> Iterator[Offered]:
        if self._key is not None:
            yield Offered(self._user, self._key, self._identity)
            return
        configured = [str(path) for path in self._config.get("identityfile", [])]
        yield from self._files(configured)
        if self._config.get("identitiesonly", "no").lower() != "yes":
            self._agent = paramiko.Agent()
            for key in self._agent.get_keys():
                yield Offered(self._user, key, f"the key {key.fingerprint} of the agent")
        if not configured:
            yield from self._files([str(Path("~/.ssh", name).expanduser()) for name in DEFAULT_KEYS])

    def _files(self, paths: Sequence[str]) -> Iterator[Offered]:
        for path in paths:
            if Path(path).expanduser().exists():
                try:
                    key = load_key(path, host=self._host)
                except HostError as error:  # like ssh, continue with the next key
                    self.tried.append(error.message.removeprefix(f"{self._host}: the identity "))
                    continue
                yield Offered(self._user, key, path)

    def close(self) -> None:
        """Close the connection to the SSH agent."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None


def known_hosts_files(chosen: str, ssh_config: Mapping[str, str]) -> list[str]:
    """Return the paths of the known_hosts files to use. If the inventory names a file (``chosen``), only this file is used.

    Otherwise the files in ssh's setting ``UserKnownHostsFile`` are used, and ``/etc/ssh/ssh_known_hosts``. The default of
    the setting is ``~/.ssh/known_hosts``.
    """
    if chosen:
        return [str(Path(chosen).expanduser())]
    user = shlex.split(ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts"))
    return [str(Path(file).expanduser()) for file in [*user, "/etc/ssh/ssh_known_hosts"]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a known_hosts file that applies to a host. It holds the position in the file, a marker such as ``@revoked``,
    and the key.
    """

    place: str
    marker: str
    key: paramiko.PKey


def known_lines(file: str, name: str) -> Iterator[Line]:
    """Return the lines of ``file`` that apply to the host ``name``. Hashed names, patterns and markers are supported.

    Invalid lines are skipped, as in ssh.
    """
    for number, text in enumerate(Path(file).read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = text.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or not _covers(words[0], name):
            continue
        try:
            entry = HostKeyEntry.from_line(" ".join(["host", *words[1:3]]))
        except (paramiko.SSHException, InvalidHostKey, ValueError):
            continue
        if entry is not None and entry.key is not None:
            yield Line(f"{file}:{number}", marker, entry.key)


def _covers(names: str, name: str) -> bool:
    """Return True when ``names`` contains ``name``. ``names``: the first field of a line in a known_hosts file. It may
    contain patterns.

    When a pattern after ``!`` matches the name, the name is excluded.
    """
    covered = False
    for part in names.split(","):
        if part.startswith("|1|"):
            with suppress(ValueError, TypeError):
                covered = covered or HostKeys.hash_host(name, part) == part
            continue
        pattern = re.escape(part.removeprefix("!").lower()).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(pattern, name.lower()):
            if part.startswith("!"):
                return False
            covered = True
    return covered


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Policy that refuses a host when no known_hosts file contains its key. The hint of the error shows how to record the
    key.
    """

    def __init__(self, host: str, address: str, port: int, files: Sequence[str], alias: str = "") -> None:
        """Verify the host against the known_hosts ``files``, which need not exist.

        The hint of an error suggests recording a new key in the first of these files. ``alias``: value of HostKeyAlias.
        """
        self._host, self._address, self._port, self._files = host, address, port, files
        self._alias = alias
        self._lines: list[Line] = []

    def load(self, client: paramiko.SSHClient) -> None:
        """Make ``client`` compare host keys with the known_hosts files, and refuse unknown keys.

        Raises HostError when a known_hosts file cannot be read.
        """
        for file in self._files:
            if Path(file).is_file():
                self._lines += self._read(file)
        revoked = {line.key.asbytes() for line in self._lines if line.marker == "@revoked"}
        for line in self._lines:
            if not line.marker and line.key.asbytes() not in revoked:
                client.get_host_keys().add(self._asked, line.key.get_name(), line.key)
        client.set_missing_host_key_policy(self)

    def _read(self, file: str) -> list[Line]:
        # For a port other than 22, ssh looks up both `[address]:port` and the plain address.
        names = [self._name] if self._alias or self._port == 22 else [self._name, self._address]
        try:
            return [line for name in names for line in known_lines(file, name)]
        except OSError as error:
            raise HostError(f"{self._host}: the known_hosts file {file} cannot be read: {error}", host=self._host) from None

    @property
    def _asked(self) -> str:
        """Name under which paramiko looks up the host key."""
        return self._address if self._port == 22 else f"[{self._address}]:{self._port}"

    @property
    def _name(self) -> str:
        return self._alias or self._asked

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise HostKeyUnknown, or HostKeyChanged when ``key`` is revoked.

        Paramiko calls this for a host key that it does not know.
        """
        shown = f"{key.get_name()} {key.fingerprint}"
        for line in self._lines:
            if line.marker == "@revoked" and line.key == key:
                raise HostKeyChanged(
                    (
                        f"{self._host}: {self._address}:{self._port} has the host key {shown}, which is revoked in "
                        f"{line.place}"
                    ),
                    host=self._host,
                    hint="another machine may have that key: generate a new key on the host, and record it",
                )
        record = shlex.join(["ssh-keyscan", "-p", str(self._port), self._address])
        if self._alias:
            record += " | sed " + shlex.quote(f"/^#/d; s/^[^ ]*/{self._alias}/")
        record += f" >> {shlex.quote(self._files[0])}"
        authority = any(line.marker == "@cert-authority" for line in self._lines)
        raise HostKeyUnknown(
            f"{self._host}: the host key of {self._address}:{self._port} is unknown: {shown}"
            + ("; host certificates (@cert-authority) are not supported" if authority else ""),
            host=self._host,
            hint=f"check that `ssh-keygen -lf` on the host prints this fingerprint, and then record the key: {record}",
        )

    def changed(self, shown: paramiko.PKey, recorded: paramiko.PKey) -> HostKeyChanged:
        """Return the error for a host that presents the key ``shown``, although another key ``recorded`` is known."""
        where = next((line.place for line in self._lines if line.key == recorded), os.pathsep.join(self._files))
        forget = shlex.join(["ssh-keygen", "-f", where.rpartition(":")[0] or self._files[0], "-R", self._name])
        return HostKeyChanged(
            f"{self._host}: {self._address}:{self._port} has the host key {shown.get_name()} {shown.fingerprint}, "
            f"but {where} records {recorded.get_name()} {recorded.fingerprint}",
            host=self._host,
            hint=(
                f"another machine may be intercepting the connection. If the host was rebuilt, remove the old key: {forget}"
            ),
        )
