"""Disposable server in a sandbox. The server loads the files of a backup, listens only on a Unix socket, and saves nothing
to RDB files.

The server never replicates. Its append-only file, if it has one, is a copy in the sandbox's folder.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import excerpt, printable
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.systems.redis import server_state, verification
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.service import Redis

TICK_S = 0.05
AOF = "appendonly.aof"
AOF_FOLDER = "appendonlydir"
SETTINGS = """port 0
unixsocket "{folder}/redis.sock"
unixsocketperm 700
dir "{folder}/data"
dbfilename dump.rdb
databases {databases}
save ""
appendonly {appends}
appendfilename "{aof}"
appenddirname {aof_folder}
aof-load-truncated no
auto-aof-rewrite-percentage 0
daemonize no
set-proc-title no
maxmemory 0
{refused}{login}"""
REFUSED = ("REPLICAOF", "SLAVEOF", "FAILOVER", "MIGRATE", "MODULE")
"""Commands that are removed from the server. Without them an append-only file cannot make the server follow another server
or load code.
"""
LEAST_DATABASES = 16
# FOLDER BEGINS PROGRAM: run a server; create the file `ended` when it exits. If PROGRAM is empty, choose a server on PATH
# that fits BEGINS, the first word of the backup's file.
_SERVE = """
folder=$1 program=$3
case $2 in VALKEY*) first=valkey second=redis ;; *) first=redis second=valkey ;; esac
test -n "$program" || program=$(command -v "$first-server" || command -v "$second-server")
"$program" "$folder/redis.conf"
echo "$?" > "$folder/ended"
"""
_SERVER = 'test -n "$1" && { test -x "$1"; exit; }; command -v valkey-server || command -v redis-server'
_WRITE = 'umask 077; cat > "$1"'


@dataclass(frozen=True, slots=True)
class Load:
    """Description of the backup files that a server loads."""

    title: str
    """Name of the backup in findings."""
    begins: str = ""
    """First word of the file, such as ``VALKEY080``. The server program, Redis or Valkey, is chosen by this word."""
    databases: int = 1
    append_only: str = ""
    """Name of the append-only file (setting `appendfilename`). It is empty when the backup is an RDB."""


def program(box: Sandbox) -> str:
    """Return the path of the server program from the inventory. When the path is empty, PATH is searched for the program."""
    return str(getattr(box.service, "program", ""))


def prepared(box: Sandbox) -> str:
    """Create the folder `data` in the sandbox and return its path. Raises HostError when this fails."""
    data = f"{box.folder}/data"
    box.run("mkdir", "-m", "700", "--", data).check()
    return data


def serving(ctx: Context, box: Sandbox, load: Load) -> Facts:
    """Start the server, wait until it has loaded the backup, and return facts about its keys.

    Raises StepFailed with the finding ``restore-errors`` when the server refuses the files, and with ``backup-empty`` when
    the server has no keys after it has loaded them. Raises CouldNotVerify when the server does not know the format of the
    files.
    """
    service = ctx.service(box.service.name, Redis)
    begun = time.monotonic()
    box.run("sh", "-c", _WRITE, "sh", f"{box.folder}/redis.conf", stdin=_settings(box, service, load).encode()).check()
    box.start("sh", "-c", _SERVE, "sh", box.folder, load.begins, service.program)
    box.admit(service.socket)
    while (facts := _looked(ctx, box, service)) is None:
        _must_run(ctx, box, load.title)
        ctx.deadline.wait(TICK_S)
        box.admit(service.socket)
    facts["seconds"] = {"load": round(time.monotonic() - begun, 3)}
    if not facts["keys"]:
        raise StepFailed(
            f"{load.title} contains no keys",
            findings=[
                finding(
                    "backup-empty",
                    title=load.title,
                    wanted="at least one key that a server loads",
                    measured=f"0 keys that a client can read, and {facts['expired']} keys that have expired",
                    host=box.host.name,
                )
            ],
            facts=facts,
        )
    return facts


def need_server(ctx: Context, service: Sandboxed) -> None:
    """Check that the sandbox's host has a server and a checker program. Raises NotReady when one of the two is missing, and
    HostError when the host cannot be used.
    """
    host, named = ctx.host_named(service.host), str(getattr(service, "program", ""))
    if not host.run(("sh", "-c", _SERVER, "sh", named), deadline=ctx.deadline).ok:
        raise NotReady(
            f"{host.name} has no {named or 'valkey-server or redis-server'}",
            hint="install valkey or redis on that host without starting it, or set `program` of the sandbox to the path of a server",
        )
    verification.need_checker(lambda argv: host.run(argv, deadline=ctx.deadline), host, named)
    Sandbox.of(ctx, service).must_admit()


def _settings(box: Sandbox, service: Redis, load: Load) -> str:
    login = ""
    if service.password is not None:
        password = service.password.reveal().replace("\\", "\\\\").replace('"', '\\"')
        login = (
            f'user {service.user} reset on ">{password}" ~* &* +@all\n' if service.user else f'requirepass "{password}"\n'
        )
    return SETTINGS.format(
        folder=box.folder,
        databases=max(LEAST_DATABASES, load.databases),
        appends="yes" if load.append_only else "no",
        aof=load.append_only or AOF,
        aof_folder=AOF_FOLDER,
        refused="".join(f'rename-command {command} ""\n' for command in REFUSED),
        login=login,
    )


def _looked(ctx: Context, box: Sandbox, service: Redis) -> Facts | None:
    """Return facts about the keys of the server. Return None while the server does not answer or is still loading."""
    try:
        with connected(ctx, service) as session:
            state = session.info("persistence")
            return None if state.get("loading", "0") != "0" else _facts(session, state)
    except CouldNotVerify:
        if ctx.deadline.remaining() <= 2 * TICK_S:
            raise
        return None


def _facts(session: Session, state: dict[str, str]) -> Facts:
    name, version = server_state.version(session)
    sizes = session.sizes()
    return {
        "keys": sum(sizes.values()),
        "databases": {str(number): size for number, size in sorted(sizes.items())},
        "expired": int(state.get("rdb_last_load_keys_expired", "0")),
        "server": f"{name} {version}",
    }


def _must_run(ctx: Context, box: Sandbox, title: str) -> None:
    """Check that the server has not exited. Raises CouldNotVerify when the server has exited because its version does not
    know the format of the file. Raises StepFailed when the server has exited for another reason.
    """
    if not box.run("test", "-e", f"{box.folder}/ended").ok:
        return
    log = box.run("tail", "-c", "20000", "--", f"{box.folder}/server.log")
    text = printable(log.stdout, limit=20_000)
    if "Can't handle RDB format version" in text:
        raise CouldNotVerify(
            f"{title} has a format that the server on {box.host.name} does not know", hint=verification.NEWER
        )
    evidence = ctx.evidence("sandbox-server.log", text)
    lines = [line for line in text.splitlines() if line.strip()]
    raise StepFailed(
        f"{box.host.name}: a server in the sandbox cannot load {title}",
        findings=[
            finding(
                "restore-errors",
                title=title,
                wanted="a server that loads the backup",
                measured=excerpt(" | ".join(lines[-4:]), limit=800),
                evidence=(str(evidence["file"]),),
                host=box.host.name,
            )
        ],
    )
