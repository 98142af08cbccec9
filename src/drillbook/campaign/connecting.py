"""Connects to a Dask scheduler, or starts a Dask cluster on this machine. Connections without TLS are allowed only on
loopback.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
from distributed import Client, LocalCluster
from distributed.security import Security

from drillbook import __version__
from drillbook.campaign import place, worker
from drillbook.campaign.attempt import Job
from drillbook.campaign.executor import LOCAL_CLUSTER, REMOTE
from drillbook.campaign.fleet import Fleet
from drillbook.errors import UsageError

TIMEOUT_S = 10
SAFE = {"distributed.scheduler.allowed-failures": 0, "distributed.admin.tick.limit": "30s"}
"""Settings of Dask. They stop Dask itself from starting a task again after the worker of the task has died."""
LOCAL_WORKERS = 2
LOGGERS = ("distributed", "tornado", "asyncio")
"""Loggers that are silenced. They would print a traceback for each lost connection, but the executor handles and
reports lost connections itself.
"""


def fleet_of(on: str, root: Path, at_most: int, carry_out: Callable[[Job], dict[str, Any]] = worker.carry_out) -> Fleet:
    """Make the executor for the option ``--on``. Its value is ``local`` or the address of a scheduler. Raises
    UsageError when the address is invalid, or when the scheduler cannot be used.
    """
    dask.config.set(SAFE)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return _local(root, at_most, carry_out) if on == "local" else _remote(on, root)


def _local(root: Path, at_most: int, carry_out: Callable[[Job], dict[str, Any]]) -> Fleet:
    """Start a cluster on this machine. It uses TLS with new certificates. So no other user of this machine can reach its
    workers.
    """
    security = Security.temporary()
    cluster = LocalCluster(
        n_workers=LOCAL_WORKERS,
        threads_per_worker=-(-at_most // LOCAL_WORKERS),
        protocol="tls://",
        host="127.0.0.1",
        security=security,
        dashboard_address="127.0.0.1:0",  # None means port 8787 on every interface
        env={place.PROJECT_VARIABLE: str(root.resolve())},
        memory_limit=0,
        silence_logs=50,
    )

    def connect() -> Client:
        return Client(cluster.scheduler_address, security=security, timeout=TIMEOUT_S, set_as_default=False)

    return Fleet(connect, root, LOCAL_CLUSTER, trusted=_encrypted, release=cluster.close, carry_out=carry_out)


def _remote(on: str, root: Path) -> Fleet:
    url = urlsplit(on)
    if url.scheme not in ("tcp", "tls") or not url.hostname:
        raise UsageError(f"--on {on!r} is not the address of a scheduler", hint="write tls://HOST:PORT, or --on local")
    if url.scheme == "tcp" and not _loopback(url.hostname):
        raise UsageError(
            f"--on {on} is refused: without TLS, everybody who can reach the scheduler can run programs on its workers",
            hint="start the scheduler and the workers with TLS, and write tls:// in the address; see `Campaigns` in the documentation",
        )
    security = _security() if url.scheme == "tls" else None

    def connect() -> Client:
        client = Client(on, security=security, timeout=TIMEOUT_S, set_as_default=False)
        try:
            _examine(on, client)
        except BaseException:
            client.close()
            raise
        return client

    _checked(on, connect)
    return Fleet(connect, root, f"{REMOTE}{on}", trusted=_encrypted if security else _at_loopback)


def _encrypted(address: str) -> bool:
    return address.startswith("tls://")


def _at_loopback(address: str) -> bool:
    return _loopback(urlsplit(address).hostname or "")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _security() -> Security:
    security = Security(require_encryption=True)
    missing = [name for name in ("tls_ca_file", "tls_client_cert", "tls_client_key") if not getattr(security, name)]
    if missing:
        variables = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__TLS__CLIENT__CERT and ...__TLS__CLIENT__KEY"
        raise UsageError(
            f"TLS to the scheduler needs a certificate, but Dask has no setting {', '.join(missing)}",
            hint=f"set {variables}, or the same keys in ~/.config/dask; see `Campaigns` in the documentation",
        )
    return security


def _checked(on: str, connect: Callable[[], Client]) -> None:
    """Connect once to the scheduler. Raises UsageError when the scheduler does not answer, or must not be used."""
    try:
        connect().close()
    except (OSError, ValueError) as error:
        # A scheduler that refuses the certificate may close the connection before its reason arrives: [SYS] unknown error.
        if any(word in str(error).lower() for word in ("certificate", "sslerror: [sys]")):
            raise UsageError(
                f"the certificates of this machine and of the scheduler at {on} do not match: {error}",
                hint="both certificates must be valid, and issued by the authority in DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
            ) from None
        raise UsageError(f"no scheduler answers at {on}: {error}", hint="start a scheduler: dask scheduler") from None
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the scheduler at {on} cannot be examined: {error}",
            hint=f"install Drillbook {__version__} where the scheduler runs, and start the scheduler again",
        ) from None


def _examine(on: str, client: Client) -> None:
    """Check that a campaign may use the scheduler. Raises UsageError when programs on other machines can reach the scheduler
    without a certificate, or when the scheduler starts a task again after the death of the task's worker.
    """
    allowed, addresses = client.run_on_scheduler(_facts)
    if exposed := [address for address in addresses if not (_encrypted(address) or _at_loopback(address))]:
        raise UsageError(
            f"the scheduler at {on} is refused: it listens on {', '.join(exposed)} without TLS, so everybody who can reach "
            "this address can run programs on its workers",
            hint=(
                "start the scheduler with `dask scheduler --host 127.0.0.1`, or start scheduler and workers with "
                "TLS; see `Campaigns` in the documentation"
            ),
        )
    if allowed:
        raise UsageError(
            (
                f"when a worker dies, the scheduler at {on} starts its task again, up to {allowed} times; a "
                "campaign must not use such a scheduler"
            ),
            hint="start the scheduler with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0 in its environment",
        )


def _facts(dask_scheduler: Any) -> tuple[int, list[str]]:
    """Return two facts about the scheduler: how many times it starts a task again after the death of the task's worker, and
    all its addresses. The function runs inside the scheduler.
    """
    listeners = list(dask_scheduler.listeners)
    addresses = [
        *(listener.listen_address for listener in listeners),
        *(listener.contact_address for listener in listeners),
        dask_scheduler.address,
    ]
    return int(getattr(dask_scheduler, "allowed_failures", -1)), list(dict.fromkeys(addresses))
