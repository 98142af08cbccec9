"""Images of the Docker lab: chooses their base image, and builds images that are missing."""

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
"""Environment variable that selects another base image."""

PARTS = ("__init__.py", "atomic_file.py", "errors.py", "exits.py", "lab/*.py", "lab/app/*.py")
"""Patterns of the files of the package `drillbook` that are copied into the images."""
BUILD_WITHIN = 1200.0


def tag(files: Path) -> str:
    """Return the tag of the images.

    The tag is a digest of the files from which the images are built, so that changed files lead to a new tag.
    """
    digest = hashlib.sha256(os.environ.get(CHOICE, "").encode())
    for path in [*sorted(files.glob("etc/*")), files / "Dockerfile", *_sources()]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def present(image: str) -> bool:
    """Return True when the engine has ``image``."""
    return docker("image", "inspect", "--format", "{{.Id}}", image).returncode == 0


def ready(files: Path, progress: Progress) -> str:
    """Build the images if one of them is missing. Return their tag. Raises LabError when a build fails."""
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
    """Hold this user's lock for building images, so that two processes do not build at the same time."""
    path = Path(tempfile.gettempdir()) / f"drillbook-lab-images-{os.getuid()}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build(files: Path, wanted: str, progress: Progress) -> None:
    on = base(progress)
    progress(f"building the images on {on}; this takes some minutes, but only the first time")
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
    """Remove every image of the labs, including a base image that was built on this machine.

    Raises LabError when the engine does not remove all of them.
    """
    ids = docker("image", "ls", "-q", f"{NAME}/*").stdout.split()
    if ids and (done := docker("image", "rm", "-f", *dict.fromkeys(ids), within=120)).returncode != 0:
        raise LabError(
            f"the engine did not remove the lab's images: {printable(done.stderr, limit=300)}",
            hint="another lab may use the images: invoke lab.down --kind docker in its project",
        )


# Compose needs a value for every variable in its file, even for a build.
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
    """Fill the folder ``context`` for an image build.

    The files of ``lab/``, and the modules that run in the containers, are copied into this folder.
    """
    root = Path(drillbook.__file__).parent
    shutil.copy(files / "Dockerfile", context)
    shutil.copytree(files / "etc", context / "etc")
    for path in _sources():
        target = context / "drillbook" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def base(progress: Progress) -> str:
    """Choose or build the base image, and return its name. Raises LabError when no base image can be built.

    Three images are tried in this order: the configured image, a base image that was built before, and Debian's own
    image. The first image that exists is used. Debian's image is pulled if it is not present. If no image can be used,
    a base image is built.
    """
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
            f"{OFFICIAL} cannot be pulled ({why}), and mmdebstrap, which could build a base image, is not installed",
            hint=f"apt-get install mmdebstrap; or set {CHOICE} to an image of Debian 13 on this machine",
        )
    progress(f"{OFFICIAL} cannot be pulled; building a base image from Debian packages")
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
                f"mmdebstrap failed: {printable(done.stderr, limit=800)}",
                hint=f"run the build as root, or set {CHOICE} to an image of Debian 13 on this machine",
            )
        imported = docker("import", "--change", 'CMD ["/bin/bash"]', str(archive), BASE, within=300)
        if imported.returncode != 0:
            raise LabError(f"the base image cannot be imported: {printable(imported.stderr, limit=300)}")
