"""Dask scheduler and workers in separate processes, which a test may kill, and the workers' projects."""

import datetime
import ipaddress
import os
import shutil
import signal
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.ports import free_port

TLS = "DASK_DISTRIBUTED__COMM__TLS__"


DAY = datetime.timedelta(days=1)


def certificate(folder):
    """Self-signed certificate, as settings of Dask."""
    key = ec.generate_private_key(ec.SECP256R1())
    stored(folder, "", signed(key, key, "drillbook test"), key)
    return {f"{TLS}CA_FILE": str(folder / "cert.pem"), **settings_of(folder, "", "SCHEDULER", "WORKER", "CLIENT")}


def issued(folder, name, *, by=None, age=0 * DAY):
    """Create a certificate of the authority in ``folder``, or of the one in ``by``, valid for a day and issued ``age`` ago.

    Return settings for a worker and a client, which trust the authority of the cluster.
    """
    authority = serialization.load_pem_private_key(((by or folder) / "key.pem").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    stored(folder, f"{name}-", signed(key, authority, name, issuer="drillbook test", age=age), key)
    return settings_of(folder, f"{name}-", "WORKER", "CLIENT")


def signed(key, authority, name, *, issuer="", age=0 * DAY):
    now = datetime.datetime.now(datetime.UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer or name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=not issuer, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )


def stored(folder, prefix, made, key):
    (folder / f"{prefix}cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{prefix}key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def settings_of(folder, prefix, *parts):
    return {
        f"{TLS}{part}__{kind}": str(folder / f"{prefix}{kind.lower()}.pem") for part in parts for kind in ("CERT", "KEY")
    }


class Cluster:
    """Processes of Dask by name: `scheduler`, and one worker for each project."""

    def __init__(self, root, folder, *, tls=True, settings=None, host="127.0.0.1"):
        self.root = root
        self.kind = "tls" if tls else "tcp"
        self.port = free_port()
        self.address = f"{self.kind}://127.0.0.1:{self.port}"
        self.environment = {**folder.environment, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0", **(settings or {})}
        self.environment.pop("PYTHONWARNINGS")
        if tls:
            self.environment |= certificate(root)
        self.folder = folder
        folder.environment |= {key: value for key, value in self.environment.items() if key.startswith("DASK_")}
        self.processes = {}
        self.commands = {
            "scheduler": (
                root,
                ["scheduler", "--host", host, "--port", str(self.port), "--protocol", self.kind, "--no-dashboard"],
                {},
            )
        }

    def worker(self, name, *options, threads=2, environment=None):
        """Add a worker with its own project: a copy of the controller's drills and inventories."""
        place = self.root / name
        place.mkdir()
        for part in ("drills", "inventory"):
            shutil.copytree(self.folder.root / part, place / part)
        more = [
            "--nthreads",
            str(threads),
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            str(self.root / f"{name}.dask"),
        ]
        self.commands[name] = (
            place,
            ["worker", self.address, "--host", "127.0.0.1", "--name", name, *more, *options],
            environment or {},
        )
        return place

    def start(self, *names):
        """Start all processes that are not running."""
        for name in names or self.commands:
            if name not in self.processes or self.processes[name].poll() is not None:
                place, argv, more = self.commands[name]
                with (self.root / f"{name}.log").open("ab") as log:
                    self.processes[name] = subprocess.Popen(
                        [sys.executable, "-m", "dask", *argv],
                        cwd=place,
                        env={**self.environment, **more},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )

    def kill(self, name):
        os.kill(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
