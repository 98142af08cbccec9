"""The controller's private keys, and the keys by which hosts are known."""

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
    # An RSA key costs 0.1 s of CPU to load, so every host shares one.
    return paramiko.PKey.from_path(path)


def load_key(path: str, *, host: str) -> paramiko.PKey:
    """The private key in ``path``, with its certificate beside it. Raises HostError when there is none to use."""
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
            hint=f"run `ssh-add {path}` and leave `identity` empty, or use a key without one",
        ) from None
    except Exception:  # noqa: BLE001  (whatever the parsers of five formats raise)
        raise HostError(
            f"{host}: the identity {path} is not a private key that can be used",
            host=host,
            hint="name the private key, not the .pub file",
        ) from None


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


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a known_hosts file that speaks of one host: where it is, its marker such as ``@revoked``, and the key."""

    place: str
    marker: str
    key: paramiko.PKey


def known_lines(file: str, name: str) -> Iterator[Line]:
    """The lines of ``file`` that are for the host ``name``, as ssh reads them: hashed names, patterns and markers.

    Lines that cannot be understood are passed over, as ssh does.
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
    """Does the first word of a line speak of ``name``? One pattern that begins with ``!`` and fits excludes it."""
    found = False
    for one in names.split(","):
        if one.startswith("|1|"):
            with suppress(ValueError, TypeError):
                found = found or HostKeys.hash_host(name, one) == one
            continue
        pattern = re.escape(one.removeprefix("!").lower()).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(pattern, name.lower()):
            if one.startswith("!"):
                return False
            found = True
    return found


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Refuses a host whose key is in none of ``files``, and says how to record it."""

    def __init__(self, host: str, address: str, port: int, files: Sequence[str], alias: str = "") -> None:
        """``files`` need not exist; the first is the one to record a key in. ``alias`` is ssh's HostKeyAlias."""
        self._host, self._address, self._port, self._files = host, address, port, files
        self._alias = alias
        self._lines: list[Line] = []

    def load(self, client: paramiko.SSHClient) -> None:
        """Have ``client`` verify by the files, and refuse what is in none. Raises HostError."""
        for file in self._files:
            if Path(file).is_file():
                self._lines += self._read(file)
        revoked = {line.key.asbytes() for line in self._lines if line.marker == "@revoked"}
        for line in self._lines:
            if not line.marker and line.key.asbytes() not in revoked:
                client.get_host_keys().add(self._asked, line.key.get_name(), line.key)
        client.set_missing_host_key_policy(self)

    def _read(self, file: str) -> list[Line]:
        # ssh looks for a host at another port by both of its names.
        names = [self._name] if self._alias or self._port == 22 else [self._name, self._address]
        try:
            return [line for name in names for line in known_lines(file, name)]
        except OSError as error:
            raise HostError(f"{self._host}: the known hosts in {file} cannot be read: {error}", host=self._host) from None

    @property
    def _asked(self) -> str:
        """The name by which paramiko looks for the key."""
        return self._address if self._port == 22 else f"[{self._address}]:{self._port}"

    @property
    def _name(self) -> str:
        return self._alias or self._asked

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raises HostKeyUnknown, and HostKeyChanged for a key that is revoked."""
        shown = f"{key.get_name()} {key.fingerprint}"
        for line in self._lines:
            if line.marker == "@revoked" and line.key == key:
                raise HostKeyChanged(
                    f"{self._host}: {self._address}:{self._port} shows the host key {shown}, which {line.place} revokes",
                    host=self._host,
                    hint="whoever has that key may not be the host: give it a new one, and record that",
                )
        record = shlex.join(["ssh-keyscan", "-p", str(self._port), self._address])
        if self._alias:
            record += " | sed " + shlex.quote(f"/^#/d; s/^[^ ]*/{self._alias}/")
        record += f" >> {shlex.quote(self._files[0])}"
        authority = any(line.marker == "@cert-authority" for line in self._lines)
        raise HostKeyUnknown(
            f"{self._host}: the host key of {self._address}:{self._port} is not known: {shown}"
            + ("; certificates of hosts (@cert-authority) are not understood" if authority else ""),
            host=self._host,
            hint=f"compare the fingerprint with the host's own (`ssh-keygen -lf` there), then record it: {record}",
        )

    def changed(self, shown: paramiko.PKey, recorded: paramiko.PKey) -> HostKeyChanged:
        """The error for a host that shows another key than the recorded one."""
        where = next((line.place for line in self._lines if line.key == recorded), os.pathsep.join(self._files))
        forget = shlex.join(["ssh-keygen", "-f", where.rpartition(":")[0] or self._files[0], "-R", self._name])
        return HostKeyChanged(
            f"{self._host}: {self._address}:{self._port} shows the host key {shown.get_name()} {shown.fingerprint}, "
            f"but {where} records {recorded.get_name()} {recorded.fingerprint}",
            host=self._host,
            hint=f"somebody may be in between; when the host was rebuilt, forget the old key: {forget}",
        )
