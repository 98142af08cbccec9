"""Separate containers for a test, and the Docker lab, as in the tests of that lab."""

import subprocess
import uuid

import pytest

from tests.docker.conftest import box, engine, image, shared, site  # noqa: F401  fixtures


@pytest.fixture
def project(box):  # noqa: F811  a fixture
    name = f"drillbook-test-{uuid.uuid4().hex[:8]}"

    def made(service, **more):
        labels = {"com.docker.compose.project": name, "com.docker.compose.service": service}
        return box.container(labels=labels | more.pop("labels", {}), **more)

    return made


FILL = "umask 027; mkdir -p a/b && echo one > a/b/1 && ln -s b a/link && printf x > '.name with space'; chown drill a/b/1; chmod 600 a/b/1; chown drill:games .; chmod 2751 ."


@pytest.fixture
def volume(box):  # noqa: F811  a fixture
    name = f"drillbook-test-{uuid.uuid4().hex[:8]}"
    made = box.container(volumes={name: {"bind": "/data", "mode": "rw"}}, working_dir="/data", user="0:0")
    assert made.exec_run(["sh", "-c", FILL]).exit_code == 0
    yield name, made
    made.remove(force=True)
    box.made.remove(made)
    subprocess.run(["docker", "volume", "rm", "-f", name], check=True, capture_output=True)
