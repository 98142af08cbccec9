"""The programs of each host, and the configuration files of its supervisor, its cache and its API."""

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
from drillbook.installation import extras
from drillbook.lab import backups, certificates, database, monitoring
from drillbook.lab.layout import ADDRESS, BUCKETS, DATABASE, MARK, REGION, SHOP, SYSTEM_PATH, Lab, put, valkey_server

RELAYED = {"postgres": "postgres.db-1", "redis": "redis"}
"""Servers that the API reaches through a relay, so that drills can cut the path.

The key of each entry is the name of the relay. The value is the name under which the lab keeps the port number of the
server.
"""

SITE_FILES = 40
"""Number of pages of the web site on app-1. The site has the same number of images."""
MEMORY_LIMIT_MIB = 256
"""Memory limit in MiB. The API enforces this limit itself, because the kernel enforces no limit in the embedded lab."""

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

# The supervisor restarts nothing and does not retry a failed start: a service that a drill broke must stay broken.
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
    """One supervised program. It is killed if it still runs ``patience`` seconds after its stop signal."""

    name: str
    command: str
    signal: str = "TERM"
    patience: int = 5
    autostart: bool = True
    standby: bool = False
    """True for a program that does not run when the lab starts. Only a drill starts it."""
    environment: Mapping[str, str] = field(default_factory=dict)


def search_path() -> str:
    """Return the PATH of the lab's processes: the folders of the interpreter's scripts, of PostgreSQL, and of the system."""
    own = [str(Path(sys.executable).parent), sysconfig.get_path("scripts"), str(database.binaries())]
    return ":".join(dict.fromkeys([*own, *SYSTEM_PATH.split(":")]))


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of every process of the lab.

    It is built from scratch, so that no setting for a proxy, AWS or PostgreSQL is inherited.
    """
    kept = {name: os.environ[name] for name in ("PYTHONDONTWRITEBYTECODE",) if name in os.environ}
    return kept | {"PATH": search_path(), "HOME": str(folder), "LANG": "C.UTF-8", "TZ": "UTC", MARK: str(folder)}


def source_path() -> dict[str, str]:
    """Return environment variables that make a new Python interpreter import the same copy of ``drillbook`` as this
    process.
    """
    return {"PYTHONPATH": str(Path(drillbook.__file__).parents[1])}


def of(lab: Lab, host: str) -> list[Program]:
    """Return the programs that supervisord runs on the lab's ``host``."""
    python = f'"{sys.executable}" -P -m'
    if host in ("db-1", "db-2"):
        command = f'"{database.binaries() / "postgres"}" -D "{lab.data_directory(host)}"'
        server = Program("postgresql", command, signal="INT", patience=20, autostart=host == "db-1")
        return [server, _shop(lab)] if host == "db-1" else [server, _api("spare-api", python), _api("copy-api", python)]
    if host == "store-1":
        watchers = (monitoring.commands(lab, search_path()) if lab.monitored else {}).items()
        return [_redis(lab), _s3(lab), _vectors(lab, python), *(_watcher(name, command) for name, command in watchers)]
    api = f"/bin/sh -c 'set -a; . ./api.env; exec {python} drillbook.lab.app'"
    traffic = f"{python} drillbook.lab.traffic {lab.api}"
    paths = [f"{name}={lab.port(f'relay.{name}')}:{lab.port(to)}" for name, to in RELAYED.items()]
    relay = f'{python} drillbook.lab.relay "{lab.relays}" {" ".join(paths)}'
    commands = {"relay": relay, "api": api, "traffic": traffic}
    return [Program(name, command, environment=source_path()) for name, command in commands.items()]


def _api(name: str, python: str) -> Program:
    """Return the supervisor entry of a second API with the settings ``NAME.env``. It is off until a drill starts it."""
    command = f"/bin/sh -c 'set -a; . ./{name}.env; exec {python} drillbook.lab.app'"
    return Program(name, command, autostart=False, standby=True, environment=source_path())


def _shop(lab: Lab) -> Program:
    """Return the supervisor entry of the shop's MariaDB. It is off until a drill starts it."""
    return Program(SHOP, f'"{lab.home("db-1") / SHOP / "serve.sh"}"', patience=20, autostart=False, standby=True)


def _watcher(name: str, command: str) -> Program:
    """Return the supervisor entry of a monitoring program.

    The program starts only once the lab is healthy, so that the start of the lab raises no alert.
    """
    return Program(name, command, autostart=False, environment=source_path() | {"GOMAXPROCS": "1"})


def configure(lab: Lab, host: str) -> None:
    """Create the folders and configuration files of a host."""
    home = lab.home(host)
    for folder in (home, home / "log", home / "tmp"):
        folder.mkdir(mode=0o700, exist_ok=True)
    sections = [_section(program, home) for program in of(lab, host)]
    put(home / "supervisord.conf", SUPERVISOR.format(host=host, home=_percent(str(home))) + "".join(sections))
    if host in ("db-1", "db-2"):
        put(home / "postgresql.lab.conf", database.settings(lab, host))
        if host == "db-2":
            _put_settings(home / "spare-api.env", spare_api_environment(lab))
            _put_settings(home / "copy-api.env", copy_api_environment(lab, str(lab.values()["sandbox.database"])))
        else:
            backups.configure_database(lab)
    elif host == "app-1":
        values = api_environment(lab)
        _put_settings(home / "api.env", values)
        _put_settings(home / "api.env.template", dict.fromkeys(values, ""))
        _site(home / "site")
        backups.make_guestbook(home / "guestbook")
    elif host == "store-1":
        put(home / "redis.conf", _redis_settings(lab))
        certificates.write(home / "certificates")
        monitoring.configure(lab)


def _put_settings(path: Path, values: Mapping[str, str]) -> None:
    put(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def _site(folder: Path) -> None:
    """Make the files of a small web site, which a backup job saves with restic. Files that exist are not changed."""
    for part in (folder, folder / "pages", folder / "images"):
        part.mkdir(mode=0o755, exist_ok=True)
    for number in range(SITE_FILES):
        for path, data in (
            (folder / "pages" / f"{number}.html", f"<h1>Page {number}</h1>\n".encode() * 200),
            (folder / "images" / f"{number}.png", hashlib.sha256(str(number).encode()).digest() * 2048),
        ):
            if not path.exists():
                path.write_bytes(data)


def api_environment(lab: Lab) -> dict[str, str]:
    """Return the settings of the API, as they are written to its env file."""
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
    """Return the settings of a second API, which serves a restored copy of the database.

    It does not use the cache and the object store of production.
    """
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


def copy_api_environment(lab: Lab, folder: str) -> dict[str, str]:
    """Return the settings of an API that serves the copy of the database in the sandbox ``folder``.

    The API connects to the copy through the Unix socket in this folder.
    """
    return spare_api_environment(lab) | {"DATABASE_URL": f"postgresql://{DATABASE}@/{DATABASE}?host={folder}"}


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
    """Escape ``%`` in a value for the supervisor's configuration."""
    return text.replace("%", "%%")


def _redis(lab: Lab) -> Program:
    server = valkey_server()
    if not server:
        raise LabError("the Valkey server is not installed", hint=extras.adding("lab"))
    return Program("redis", f'"{server}" "{lab.home("store-1") / "redis.conf"}"')


def _redis_settings(lab: Lab) -> str:
    data = Path(lab.cache_data)
    data.mkdir(mode=0o700, exist_ok=True)
    # Processes must not set a title: that hides their environment, in which the lab finds its mark.
    return (
        f"bind {ADDRESS}\nport {lab.port('redis')}\nprotected-mode yes\nrequirepass {lab.secret('redis')}\n"
        f'dir "{data}"\nappendonly yes\nappendfsync everysec\nsave 3600 1\ndaemonize no\nset-proc-title no\n'
    )


def _vectors(lab: Lab, python: str) -> Program:
    if importlib.util.find_spec("qdrant_edge") is None:
        raise LabError("the engine of Qdrant is not installed", hint=extras.adding("lab"))
    data = lab.home("store-1") / "vectors"
    data.mkdir(mode=0o700, exist_ok=True)
    command = f'{python} drillbook.lab.qdrant_stand_in --port {lab.port("vectors")} --folder "{data}"'
    return Program("vectors", command, environment=source_path() | {"QDRANT__SERVICE__API_KEY": lab.secret("vectors")})


def _s3(lab: Lab) -> Program:
    weed = next((p for p in search_path().split(":") if Path(p, "weed").exists()), None)
    if weed is None:
        raise LabError("SeaweedFS is not installed", hint=extras.adding("lab"))
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
    # SIGKILL loses no data, and an ordinary stop takes 16 to 28 seconds.
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
    """Return the signing keys by which the components of SeaweedFS trust one another.

    The file server of SeaweedFS refuses clients that do not have these keys.
    """
    names = (
        "WEED_JWT_FILER_SIGNING_KEY",
        "WEED_JWT_FILER_SIGNING_READ_KEY",
        "WEED_JWT_SIGNING_KEY",
        "WEED_JWT_SIGNING_READ_KEY",
        "WEED_ADMIN_PASSWORD",
    )
    secret = lab.secret("s3_secret")
    return {name: hashlib.sha256(f"{name} {secret}".encode()).hexdigest() for name in names}
