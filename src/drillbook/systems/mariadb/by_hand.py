"""Statements of the actions `mariadb.*`, as a person sends them with the client on the server's host. The client asks
for the password."""

from __future__ import annotations

import shlex

from drillbook.sdk.by_hand import Commands, ManualStep
from drillbook.systems.mariadb.service import Mariadb


def _client(step: ManualStep, statement: str, database: str = "") -> tuple[str, ...]:
    service = step.service
    if not isinstance(service, Mariadb):
        return ()
    end = [f"--database={database or service.database}", f"--execute={statement}"]
    if step.copied:
        return (shlex.join(["mariadb", f"--socket={step.address}/server.sock", "--user=root", *end]),)
    words = [*(["sudo", "-u", service.run_as] if service.run_as else []), "mariadb"]
    words += [f"--socket={service.socket}"] if service.socket else [f"--host={service.address}", f"--port={service.port}"]
    words += [f"--user={service.user}"] if service.user else []
    words += ["--password"] if service.password else []
    return (shlex.join([*words, *end]),)


def _sql(step: ManualStep) -> tuple[str, ...]:
    return _client(step, str(step.params.get("query", "")).strip(), str(step.params.get("database") or ""))


def _healthy(step: ManualStep) -> tuple[str, ...]:
    return _client(step, "SELECT VERSION(), @@read_only")


BY_HAND: dict[str, Commands] = {"mariadb.sql": _sql, "mariadb.healthy": _healthy}
