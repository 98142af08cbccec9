"""Reads the version of a running server and the location of its files, and waits until the server has saved or loaded a
file.
"""

from __future__ import annotations

import re
import time

from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt, printable
from drillbook.sdk.manager import manager_of
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.manifest import Place
from drillbook.systems.redis.service import Redis

TICK_S = 0.02
LOOK_S = 0.5
"""Time in seconds between two queries of the service manager while a server does not answer."""


def version(session: Session) -> tuple[str, str]:
    """Return the name of the server program, Redis or Valkey, and its version."""
    info = session.info("server")
    server = info.get("server_name", "redis")
    return server, info.get(f"{server}_version", info.get("redis_version", "?"))


def place(session: Session, service: Redis) -> Place:
    """Return the folder and names of the server's files. Raises CouldNotVerify for an unsupported version or folder."""
    info = session.info("server")
    known = session.settings("dir", "dbfilename", "appendonly", "appenddirname", "appendfilename")
    if int(info.get("redis_version", "0").partition(".")[0]) < 7 or "appenddirname" not in known:
        raise CouldNotVerify(
            f"{service.name} has version {info.get('redis_version', '?')}, but a backup or restore needs Redis 7.0 or "
            "Valkey 7.2, or later"
        )
    if service.data_directory and service.data_directory.rstrip("/") != known["dir"].rstrip("/"):
        raise CouldNotVerify(
            f"{service.name} keeps its data in {printable(known['dir'])}, not in {service.data_directory}",
            hint="check `data_directory` of the service in the inventory",
        )
    try:
        return Place(
            program=service.program or info.get("executable", ""),
            directory=known["dir"],
            rdb=known["dbfilename"],
            aof_directory=known["appenddirname"],
            aof=known["appendfilename"],
            appends=known["appendonly"] == "yes",
        )
    except ValidationError as error:
        said = excerpt(re.sub(r"\s+", " ", str(error)), limit=200)
        raise CouldNotVerify(f"{service.name} has unsupported names of its data files: {said}") from error


def must_be_master(session: Session, service: Redis) -> None:
    """Raise CouldNotVerify when the server is a replica, or is still loading."""
    role = session.info("replication").get("role", "?")
    if role != "master":
        raise CouldNotVerify(
            f"{service.name} is a {role}, and its master overwrites every change",
            hint="set `address` and `port` of the service to the master",
        )
    if session.info("persistence").get("loading", "0") != "0":
        raise CouldNotVerify(f"{service.name} is still loading its data; wait until it has finished")


def save(session: Session, service: Redis) -> None:
    """Start a background save of the RDB, and wait until exactly this save has succeeded. Raises StepFailed when the save
    fails.
    """
    _wait(session, "rdb_bgsave_in_progress")
    before = int(session.info("persistence")["rdb_saves"])
    session.ask("BGSAVE", "SCHEDULE")
    while True:
        state = session.info("persistence")
        if state["rdb_bgsave_in_progress"] == "0":
            if state["rdb_last_bgsave_status"] != "ok":
                raise StepFailed(f"{service.name} could not write its RDB file; read the server's log")
            if int(state["rdb_saves"]) > before:
                return
        session.deadline.wait(TICK_S)


def _wait(session: Session, flag: str) -> None:
    while session.info("persistence").get(flag, "0") != "0":
        session.deadline.wait(TICK_S)


def in_file(session: Session) -> int:
    """Return the number of keys in the file that the server loaded at its start. Keys that have expired are included."""
    state = session.info("persistence")
    return int(state["rdb_last_load_keys_loaded"]) + int(state["rdb_last_load_keys_expired"])


def loaded(ctx: Context, service: Redis) -> int:
    """Wait until the server answers and has loaded its data. Return the number of keys in the loaded file.

    Raises StepFailed when the server's unit has exited. Raises CouldNotVerify when the server does not answer in time.
    Raises Cancelled when the run was stopped.
    """
    look_at = 0.0
    while True:
        try:
            with connected(ctx, service) as session:
                _wait(session, "loading")
                return in_file(session)
        except CouldNotVerify:
            if ctx.deadline.remaining() <= 0.2:
                raise
        if time.monotonic() > look_at:
            state = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
            if state.state not in ("running", "starting", "activating"):
                raise StepFailed(
                    f"{service.unit} is {state.word}: the server exited while it loaded the saved file; read its log",
                    findings=[
                        finding(
                            "service-state", title=service.unit, wanted="running", measured=state.word, host=ctx.host.name
                        )
                    ],
                )
            look_at = time.monotonic() + LOOK_S
        ctx.deadline.wait(TICK_S)
