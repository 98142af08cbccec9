"""Reads and writes files on a host over SFTP. When the server has no SFTP, shell commands are used."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable
from typing import TypeVar

import paramiko

from drillbook.errors import HostUnreachable
from drillbook.hosts.atomic import SECONDS, beside
from drillbook.hosts.ssh.login import Link
from drillbook.hosts.ssh.packets import MOST_PACKET
from drillbook.hosts.ssh.session import open_session
from drillbook.sdk.host import Deadline

T = TypeVar("T")


class NoSftp(Exception):
    """Raised when the server has no SFTP."""


def bounded(work: Callable[[], T], link: Link, *, host: str, seconds: float) -> T:
    """Call ``work`` with a time limit, because some calls of paramiko have no timeout. Return the result of ``work``.

    Raises HostUnreachable when ``work`` has not ended after ``seconds``.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  (raised again below, in the thread that asked)
            errors.append(error)

    worker = threading.Thread(target=attempt, name="drillbook-file", daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        link.close()
        raise HostUnreachable(f"{host}: no answer to a file transfer within {seconds:.0f} s", host=host)
    if errors:
        raise errors[0]
    return results[0]


class _Sftp(paramiko.SFTPClient):
    """SFTP client that refuses answers larger than 1 MiB. OpenSSH sends answers of at most 256 KiB."""

    def _read_all(self, n: int) -> bytes:
        if n > MOST_PACKET:
            raise paramiko.SSHException(f"the SFTP server sent an answer of {n} bytes, which is more than the limit")
        data: bytes = super()._read_all(n)  # type: ignore[misc]  # Paramiko's own method
        return data


def sftp_of(link: Link, *, host: str) -> paramiko.SFTPClient:
    """Return the SFTP client of ``link``. The first call opens it.

    The caller must hold the lock of the link. Raises NoSftp when the server has no SFTP.
    """
    if link.sftp is None:
        channel = open_session(link, Deadline.after(SECONDS), host=host)
        try:
            channel.invoke_subsystem("sftp")
            link.sftp = _Sftp(channel)
        except (paramiko.SSHException, EOFError, OSError):
            channel.close()
            if not link.alive:
                raise
            raise NoSftp from None
    return link.sftp


def put_file(sftp: paramiko.SFTPClient, data: bytes, path: str, mode: int) -> None:
    """Write ``data`` to ``path``, either completely or not at all.

    The permissions ``mode`` are set before any data is written.
    """
    if _is_folder(sftp, path):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    temporary = beside(path)
    try:
        with sftp.open(temporary, "wx") as file:
            file.chmod(mode)
            file.set_pipelined(True)
            file.write(data)
        sftp.posix_rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError, paramiko.SSHException, EOFError):
            sftp.remove(temporary)
        raise


def _is_folder(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        return (sftp.stat(path).st_mode or 0) & 0o170000 == 0o040000
    except FileNotFoundError:
        return False


def get_file(sftp: paramiko.SFTPClient, path: str, limit: int) -> bytes:
    """Read the first ``limit`` bytes of the file ``path``."""
    with sftp.open(path, "rb") as file:
        size = min(limit, file.stat().st_size or 0)
        file.prefetch(size)
        data = file.read(size)
        # A file in /proc reports the size 0 and is read to its end; of a growing file, only its initial size is read.
        return data if data or size else file.read(limit)
