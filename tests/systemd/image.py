"""The image of a machine with systemd, made once for each content of its files: ``python -m tests.systemd.image``."""

import hashlib
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab.containers import images
from drillbook.lab.containers.engine import docker

HERE = Path(__file__).parent
NAME = "drillbook-test/systemd"


def ready() -> str:
    """Build the image if it is missing, and return its name. Raises LabError."""
    digest = hashlib.sha256()
    for path in [HERE / "Containerfile", *sorted(HERE.glob("etc/*")), *sorted(HERE.glob("units/*"))]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    wanted = f"{NAME}:{digest.hexdigest()[:12]}"
    if not images.present(wanted):
        with images.alone():  # whoever comes second finds it made
            if not images.present(wanted):
                _build(wanted, images.base(lambda line: None))
    return wanted


def _build(wanted: str, base: str) -> None:
    done = docker(
        "build",
        "--quiet",
        "--tag",
        wanted,
        "--build-arg",
        f"BASE={base}",
        "--file",
        str(HERE / "Containerfile"),
        str(HERE),
        within=images.BUILD_WITHIN,
    )
    if done.returncode != 0:
        raise LabError(f"the image with systemd cannot be built: {(done.stdout + done.stderr)[-800:]}")


if __name__ == "__main__":
    print(ready())
