"""Image of a machine with systemd, built once for each content of its files: ``python -m tests.systemd.image``."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab.containers import images
from drillbook.lab.containers.engine import docker

HERE = Path(__file__).parent
NAME = "drillbook-test/systemd"


def ready() -> str:
    """Build the image if it is missing, and return its name. Raises LabError."""
    return _made("Containerfile", lambda: images.base(lambda line: None), *HERE.glob("etc/*"), *HERE.glob("units/*"))


def debian() -> str:
    """Image of a host with services as Debian's packages install them, built like ``ready``. Raises LabError."""
    return _made("Containerfile.debian", ready, HERE / "Containerfile", *HERE.glob("etc/*"), *HERE.glob("units/*"))


def _made(recipe: str, base: Callable[[], str], *files: Path) -> str:
    digest = hashlib.sha256()
    for path in [HERE / recipe, *sorted(files)]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    wanted = f"{NAME}{recipe.removeprefix('Containerfile').replace('.', '-')}:{digest.hexdigest()[:12]}"
    if images.present(wanted):
        return wanted
    on = base()
    with images.alone():  # the second process finds the image built
        if not images.present(wanted):
            _build(wanted, recipe, on)
    return wanted


def _build(wanted: str, recipe: str, base: str) -> None:
    done = docker(
        "build",
        "--quiet",
        "--tag",
        wanted,
        "--build-arg",
        f"BASE={base}",
        "--file",
        str(HERE / recipe),
        str(HERE),
        within=images.BUILD_WITHIN,
    )
    if done.returncode != 0:
        raise LabError(f"the image with systemd cannot be built: {(done.stdout + done.stderr)[-800:]}")


if __name__ == "__main__":
    print(debian())
