"""The controller's private keys, and the keys by which hosts are known."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import paramiko
from paramiko.auth_strategy import AuthSource, AuthStrategy, InMemoryPrivateKey
from paramiko.hostkeys import HostKeyEntry, HostKeys

from drillbook.errors import HostError, HostKeyChanged, HostKeyUnknown

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@functools.lru_cache(maxsize=256)
def _loaded(path: str, _modified: int) -> paramiko.PKey:
    # An RSA key costs 0.1 s of CPU to load, so every host shares one.
    return paramiko.PKey.from_path(path)


def load_key(path: str, *, host: str) -> paramiko.PKey:
    """The private key in ``path``, with its certificate beside it. Raises HostError when there is none to use."""
    file = Path(path).expanduser()
    try:
        return _loaded(str(file), file.stat().st_mtime_ns)
    except OSError as error:
        raise HostError(f"{host}: the identity {path} cannot be read: {error.strerror}", host=host,
                        hint="correct `identity` in the inventory, or IdentityFile in ~/.ssh/config") from None
    except (TypeError, paramiko.PasswordRequiredException):
        raise HostError(f"{host}: the identity {path} needs a passphrase", host=host,
                        hint=f"run `ssh-add {path}` and leave `identity` empty, or use a key without one") from None
    except Exception:  # noqa: BLE001  (whatever the parsers of five formats raise)
        raise HostError(f"{host}: the identity {path} is not a private key that can be used", host=host,
                        hint="name the private key, not the .pub file") from None


class Offered(InMemoryPrivateKey):
    """A key that is offered, and the words that name it in a message."""

    def __init__(self, user: str, key: paramiko.PKey, name: str) -> None:
        """``name`` is its path, or where it came from."""
        super().__init__(user, key)
        self.name = name


class KeysInOrder(AuthStrategy):
    """The identity of the inventory and nothing else; without one, what ssh would offer.

    That is the IdentityFile entries of ~/.ssh/config, then the agent's keys, then the default keys.
    """

    def __init__(self, host: str, user: str, identity: str, ssh_config: Any) -> None:
        """Loads the identity already, so that a missing file is told before anything is connected."""
        super().__init__(ssh_config=ssh_config)
        self._config: Mapping[str, Any] = ssh_config
        self._host, self._user, self._identity = host, user, identity
        self._agent: paramiko.Agent | None = None
        self._key = load_key(identity, host=host) if identity else None
        self.tried: list[str] = []

    def get_sources(self) -> Iterator[AuthSource]:
        """The keys, best first; each is noted in ``tried``."""
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
                yield Offered(self._user, key, f"{key.fingerprint} of the agent")
        if not configured:
            yield from self._files([str(Path("~/.ssh", name).expanduser()) for name in DEFAULT_KEYS])

    def _files(self, paths: Sequence[str]) -> Iterator[Offered]:
        for path in paths:
            if Path(path).expanduser().exists():
                try:
                    key = load_key(path, host=self._host)
                except HostError as error:  # as ssh does: the next one may be good
                    self.tried.append(error.message.removeprefix(f"{self._host}: the identity "))
                    continue
                yield Offered(self._user, key, path)

    def close(self) -> None:
        """Let go of the agent."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None


def known_hosts_files(chosen: str, ssh_config: Mapping[str, str]) -> list[str]:
    """The files that say which keys hosts have: the inventory's, or ssh's."""
    if chosen:
        return [str(Path(chosen).expanduser())]
    user = shlex.split(ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts"))
    return [str(Path(file).expanduser()) for file in [*user, "/etc/ssh/ssh_known_hosts"]]


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Refuses a host whose key is in none of ``files``, and says how to record it."""

    def __init__(self, host: str, address: str, port: int, files: Sequence[str]) -> None:
        """``files`` need not exist; the first is the one to record a key in."""
        self._host, self._address, self._port, self._files = host, address, port, files

    def load(self, client: paramiko.SSHClient) -> None:
        """Have ``client`` verify by the files, and refuse what is in none."""
        for file in self._files:
            if Path(file).is_file():
                self._load(client, file)
        client.set_missing_host_key_policy(self)

    def _load(self, client: paramiko.SSHClient, file: str) -> None:
        try:
            client.load_system_host_keys(file)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise HostError(f"{self._host}: the known hosts in {file} cannot be read: {error}", host=self._host) from None

    @property
    def _name(self) -> str:
        return self._address if self._port == 22 else f"[{self._address}]:{self._port}"

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raises HostKeyUnknown."""
        record = shlex.join(["ssh-keyscan", "-p", str(self._port), self._address]) + f" >> {shlex.quote(self._files[0])}"
        raise HostKeyUnknown(
            f"{self._host}: the host key of {self._address}:{self._port} is not known: "
            f"{key.get_name()} {key.fingerprint}", host=self._host,
            hint=f"compare the fingerprint with the host's own (`ssh-keygen -lf` there), then record it: {record}")

    def changed(self, shown: paramiko.PKey, recorded: paramiko.PKey) -> HostKeyChanged:
        """The error for a host that shows another key than the recorded one."""
        where = self._place(recorded)
        forget = shlex.join(["ssh-keygen", "-f", where.rpartition(":")[0] or self._files[0], "-R", self._name])
        return HostKeyChanged(
            f"{self._host}: {self._address}:{self._port} shows the host key {shown.get_name()} {shown.fingerprint}, "
            f"but {where} records {recorded.get_name()} {recorded.fingerprint}", host=self._host,
            hint=f"somebody may be in between; when the host was rebuilt, forget the old key: {forget}")

    def _place(self, recorded: paramiko.PKey) -> str:
        for file in self._files:
            if not Path(file).is_file():
                continue
            for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
                if _names(line, self._name, recorded):
                    return f"{file}:{number}"
        return os.pathsep.join(self._files)


def _names(line: str, name: str, key: paramiko.PKey) -> bool:
    """Whether a known_hosts line records ``key`` for ``name``, hashed names included."""
    try:
        entry = HostKeyEntry.from_line(line)
    except paramiko.SSHException:
        return False
    if entry is None or entry.key != key or entry.hostnames is None:
        return False
    keys = HostKeys()
    for hostname in entry.hostnames:
        keys.add(hostname, key.get_name(), key)
    return keys.lookup(name) is not None
