"""Access to an engine: one that is absent, hangs, or knows no such container."""

import socket
import subprocess

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.sdk.host import Deadline
from drillbook.systems.docker.actions.reading import Inspect, Running
from drillbook.systems.docker.service import Container
from drillbook.systems.units.service import Process
from tests.systems.refusals import refused_until


def test_an_unknown_container_and_a_service_that_is_none(box):
    made = box.container()
    box.services = {
        "box": Container(name="box", host="here", container="drillbook-test-none"),
        "other": Process(name="other", host="here"),
    }
    with pytest.raises(CouldNotVerify, match="there is no container 'drillbook-test-none'"):
        Running(service="box").run(box.ctx())
    refused_until(
        lambda: Running(service="other").ready(box.ctx()),
        "is not a container according to the inventory",
        lambda: box.services.update(other=Container(name="other", host="here", container=made.name)),
    )


def test_no_engine_there(box, tmp_path):
    box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{tmp_path}/none.sock")}
    with pytest.raises(CouldNotVerify, match=r"none.sock does not answer"):
        Running(service="box").run(box.ctx())


def test_an_engine_that_hangs_is_left_at_the_deadline(box, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(8)
        box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{tmp_path}/s")}
        ctx = box.ctx()
        object.__setattr__(ctx, "deadline", Deadline.after(1.0))
        with pytest.raises((CouldNotVerify, TimeoutError)):
            Running(service="box").run(ctx)


def test_the_engine_says_the_same_as_its_program(box):
    made = box.container()
    said = subprocess.run(
        ["docker", "inspect", "--format", "{{.Config.Image}}", made.name], capture_output=True, text=True, check=True
    )
    assert Inspect(service="box").run(box.ctx())["image"] == said.stdout.strip()
