"""Starts the hosts of a lab, and fills them with content. Each host has an SSH server and a supervisor. This process
runs the SSH servers until it is killed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import asyncssh

from drillbook.errors import LabError
from drillbook.lab import database, monitoring, processes, programs, sshd, supervision
from drillbook.lab.layout import ADDRESS, HOSTS, Lab, put
from drillbook.sdk.host import printable

HEALTHY_WITHIN = 30.0


def main(lab: Lab) -> None:
    """Start the hosts of the lab, and run their SSH servers until the process is killed. Only an exception ends this
    function."""
    environment = programs.environment(lab.folder)
    os.environ.clear()
    os.environ.update(environment)
    os.umask(0o077)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    asyncio.run(_serve(lab, environment))


async def _serve(lab: Lab, environment: dict[str, str]) -> None:
    started = time.monotonic()
    for host in HOSTS:
        programs.configure(lab, host)
    acceptors = await _open_ssh(lab, environment)
    _progress(lab, f"{len(acceptors)} hosts answer SSH")
    supervisors = [await _supervise(lab, host, environment) for host in ("store-1", "app-1")]
    await asyncio.to_thread(database.create, lab, "db-1")
    supervisors += [await _supervise(lab, host, environment) for host in ("db-1", "db-2")]
    _progress(lab, "PostgreSQL, SeaweedFS, Valkey, the vectors and the API are starting")
    await _seed(lab, environment)
    _progress(lab, "the documents, originals, vectors and cache entries are stored")
    await _until_healthy(lab)
    await asyncio.to_thread(_monitor, lab)
    dataclasses.replace(lab, ready=True).write()
    _progress(lab, f"healthy after {time.monotonic() - started:.1f} s")
    await asyncio.gather(*(_report(lab, host, process) for host, process in zip(_ORDER, supervisors, strict=True)))
    await asyncio.Event().wait()


_ORDER = ("store-1", "app-1", "db-1", "db-2")


async def _open_ssh(lab: Lab, environment: dict[str, str]) -> list[asyncssh.SSHAcceptor]:
    client = asyncssh.generate_private_key("ssh-ed25519", comment="drillbook lab")
    put(lab.folder / "id", client.export_private_key().decode("ascii"))
    put(lab.folder / "id.pub", client.export_public_key().decode("ascii"))
    known, acceptors = [], []
    for host in HOSTS:
        key = asyncssh.generate_private_key("ssh-ed25519", comment=host)
        port = lab.port(f"ssh.{host}")
        known.append(f"[{ADDRESS}]:{port} {key.export_public_key().decode('ascii').strip()}\n")
        account = sshd.Account(lab.home(host), environment, client.convert_to_public())
        acceptors.append(await sshd.listen(port, key, account))
    put(lab.folder / "known_hosts", "".join(known))
    return acceptors


async def _supervise(lab: Lab, host: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    home = lab.home(host)
    with (home / "log" / "supervisord.out").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "supervisor.supervisord",
            "-n",
            "-c",
            str(home / "supervisord.conf"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            start_new_session=True,
            env=environment | {"HOME": str(home)},
        )
    processes.record(lab.folder, f"supervisord-{host}", process.pid)
    return process


async def _report(lab: Lab, host: str, process: asyncio.subprocess.Process) -> None:
    """Wait until a supervisor ends, log this as an error, and remove its pid file."""
    status = await process.wait()
    logging.error("the supervisor of %s ended with status %d", host, status)
    with suppress(OSError):
        (lab.folder / "run" / f"supervisord-{host}.pid").unlink()


async def _seed(lab: Lab, environment: dict[str, str]) -> None:
    """Fill the lab in a separate process, so that the long-lived daemon does not load large libraries.

    Raises LabError when the content cannot be created.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "drillbook.lab.seed",
        str(lab.folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env=environment | programs.source_path(),
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise LabError(f"the content of the lab cannot be created: {printable(output, limit=2000)}")


async def _until_healthy(lab: Lab) -> None:
    until = time.monotonic() + HEALTHY_WITHIN
    while not await asyncio.to_thread(api_is_healthy, lab):
        if time.monotonic() > until:
            raise LabError(f"the API is not healthy after {HEALTHY_WITHIN:.0f} s")
        await asyncio.sleep(0.05)


def _monitor(lab: Lab) -> None:
    """Start the monitoring programs, if they are installed. Wait until they answer and Prometheus has scraped its targets.

    Raises LabError when a program is not ready in time.
    """
    names = list(monitoring.commands(lab, programs.search_path()))
    supervision.start(lab.home(monitoring.HOST), names)
    until = time.monotonic() + HEALTHY_WITHIN
    for name in names:
        while not (_listens(lab.port(name)) and (name != "prometheus" or _has_scraped(lab))):
            if time.monotonic() > until:
                raise LabError(
                    f"{name} is not ready after {HEALTHY_WITHIN:.0f} s",
                    hint=f"read {lab.home(monitoring.HOST) / 'log' / name}.log",
                )
            time.sleep(0.02)


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((ADDRESS, port), timeout=0.5).close()
        return True
    return False


def _has_scraped(lab: Lab) -> bool:
    """Return True when the lab's Prometheus has a first sample of each of its targets."""
    samples = _answer(f"http://{ADDRESS}:{lab.port('prometheus')}/api/v1/query?query=up")
    return samples.count(b'"job"') == len(monitoring.JOBS)


def api_is_healthy(lab: Lab) -> bool:
    """Return True when the API answers and reaches all its backends."""
    return b'"status":"ok"' in _answer(f"{lab.api}/health")


def _answer(url: str) -> bytes:
    """Return the body of the answer from ``url``. It is empty when there is no answer, or when the answer is an error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bytes(answer.read())
    except (OSError, urllib.error.URLError):
        return b""


def _progress(lab: Lab, line: str) -> None:
    with Path(lab.folder, "progress.log").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
