"""The images of the Docker lab: which base they are made on, and building those that are not there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import drillbook
from drillbook.errors import LabError
from drillbook.lab.containers import engine
from drillbook.lab.containers.engine import Progress, docker
from drillbook.sdk.host import printable

NAME = "drillbook-lab"
TARGETS = ("app", "db", "store", "monitoring")
BASE = f"{NAME}/base:latest"
OFFICIAL = "debian:trixie-slim"
CHOICE = "DRILLBOOK_LAB_BASE"
"""Environment variable that names another image to build on."""

PARTS = ("__init__.py", "errors.py", "exits.py", "lab/*.py", "lab/app/*.py")
"""What of this package runs in the containers."""
BUILD_WITHIN = 1200.0


def tag(files: Path) -> str:
    """The tag of the images that these files make: other files, another tag."""
    digest = hashlib.sha256(os.environ.get(CHOICE, "").encode())
    for path in [*sorted(files.glob("etc/*")), files / "Dockerfile", *_sources()]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def present(image: str) -> bool:
    """Whether the engine has the image."""
    return docker("image", "inspect", "--format", "{{.Id}}", image).returncode == 0


def ready(files: Path, progress: Progress) -> str:
    """Have every image, and return their tag. Raises LabError."""
    wanted = tag(files)
    if not _all_there(wanted):
        with alone():
            if not _all_there(wanted):
                _build(files, wanted, progress)
    return wanted


def _all_there(wanted: str) -> bool:
    return all(present(f"{NAME}/{target}:{wanted}") for target in TARGETS)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One build at a time of this user: who comes second finds the images made."""
    path = Path(tempfile.gettempdir()) / f"drillbook-lab-images-{os.getuid()}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build(files: Path, wanted: str, progress: Progress) -> None:
    on = base(progress)
    progress(f"images are built on {on}: some minutes, once")
    with tempfile.TemporaryDirectory(prefix="drillbook-lab-") as folder:
        context = Path(folder)
        _fill(context, files)
        (context / "compose.env").write_text(_PLACEHOLDERS, encoding="utf-8")
        engine.composed(
            context,
            files,
            "drillbook-lab",
            "build",
            within=BUILD_WITHIN,
            more={"CONTEXT": folder, "BASE": on, "TAG": wanted, "DOCKER_BUILDKIT": "1"},
        )
    progress("the images are built")


def remove() -> None:
    """Remove every image that a lab was made of, the base too when it was made here. Raises LabError."""
    found = docker("image", "ls", "-q", f"{NAME}/*").stdout.split()
    if found and (done := docker("image", "rm", "-f", *dict.fromkeys(found), within=120)).returncode != 0:
        raise LabError(
            f"the engine does not remove the lab's images: {printable(done.stderr)[-300:]}",
            hint="another lab may run on them: invoke lab.down --kind docker there",
        )


# Compose wants a value for every variable of its file, also to build.
_PLACEHOLDERS = (
    "".join(
        f"{name}=1\n"
        for name in (
            "SSH_APP",
            "SSH_DB",
            "SSH_SPARE",
            "SSH_STORE",
            "API_PORT",
            "SPARE_API_PORT",
            "POSTGRES_PORT",
            "SPARE_PORT",
            "REDIS_PORT",
            "S3_PORT",
            "RELAY_POSTGRES",
            "RELAY_REDIS",
            "PROMETHEUS_PORT",
            "ALERTMANAGER_PORT",
            "VECTORS_PORT",
            "EXPORTER_PORT",
        )
    )
    + "LAB=/tmp\nWEED=/bin/true\nQDRANT_EDGE=/tmp\nQDRANT_EDGE_INFO=/tmp\n"
)


def _sources() -> list[Path]:
    root = Path(drillbook.__file__).parent
    return sorted(path for pattern in PARTS for path in root.glob(pattern))


def _fill(context: Path, files: Path) -> None:
    """The build's context: the files of ``lab/``, and the part of this package that runs in the containers."""
    root = Path(drillbook.__file__).parent
    shutil.copy(files / "Dockerfile", context)
    shutil.copytree(files / "etc", context / "etc")
    for path in _sources():
        target = context / "drillbook" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def base(progress: Progress) -> str:
    """The image to build on: the chosen one, an earlier one, Debian's own, or one that is made now. Raises LabError."""
    if chosen := os.environ.get(CHOICE):
        return chosen
    for image in (BASE, OFFICIAL):
        if present(image):
            return image
    pulled = docker("pull", "--quiet", OFFICIAL, within=300)
    if pulled.returncode == 0:
        return OFFICIAL
    why = printable((pulled.stderr.strip().splitlines() or ["no reason"])[-1], limit=300)
    if shutil.which("mmdebstrap") is None:
        raise LabError(
            f"{OFFICIAL} cannot be pulled ({why}), and there is no mmdebstrap to make a base of packages",
            hint=f"apt-get install mmdebstrap; or name an image of Debian 13 that is here in {CHOICE}",
        )
    progress(f"{OFFICIAL} cannot be pulled: a base is made of packages")
    _make_base()
    return BASE


def _make_base() -> None:
    small = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", *small, "trixie"]
    with tempfile.TemporaryDirectory(prefix="drillbook-lab-") as folder:
        archive = Path(folder) / "base.tar"
        done = subprocess.run([*argv, str(archive)], capture_output=True, text=True, check=False, timeout=900)
        if done.returncode != 0:
            raise LabError(
                f"mmdebstrap failed: {printable(done.stderr)[-800:]}",
                hint=f"run it as root; or name an image of Debian 13 that is here in {CHOICE}",
            )
        imported = docker("import", "--change", 'CMD ["/bin/bash"]', str(archive), BASE, within=300)
        if imported.returncode != 0:
            raise LabError(f"the base cannot be imported: {printable(imported.stderr)[-300:]}")
