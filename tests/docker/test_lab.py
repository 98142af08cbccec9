"""Docker lab: its components, the drills of the embedded lab on it, and its containers over SSH."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from drillbook.engine.recorded_host import RecordingHost
from drillbook.errors import LabError, NotReady, StepFailed
from drillbook.hosts.open import open_host
from drillbook.journal.journal import Journal
from drillbook.lab.containers import control
from drillbook.lab.containers.engine import containers, remove
from drillbook.lab.containers.layout import SERVICES, DockerLab
from drillbook.redact import Redactor
from drillbook.systems.docker.actions.change import Exec
from drillbook.systems.docker.actions.faults import Pause
from drillbook.systems.docker.actions.reading import Logs, Running
from drillbook.systems.docker.compose_actions import Ps, Restart, Up
from drillbook.systems.docker.compose_actions import Stop as StopServices
from tests.docker.conftest import FILES, context

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_the_lab_is_whole_and_marked_as_its_own(site):
    status = control.status(site.lab.folder)
    assert status.healthy, [one for one in status.components if not one.up]
    assert set(containers(site.lab.project)) == set(SERVICES)
    assert control.up(site.lab.folder, FILES) == site.lab, "it is used as it is"
    shown = json.dumps(containers(site.lab.project))
    for secret in (site.lab.folder / "secrets").iterdir():
        assert secret.read_text() not in shown, f"{secret.name} is shown by `docker inspect`"
    published = [
        bound["HostIp"]
        for one in containers(site.lab.project).values()
        for ports in (one["NetworkSettings"]["Ports"] or {}).values()
        for bound in ports or ()
    ]
    assert set(published) == {"127.0.0.1"}


def opened(site, service):
    inventory = site.project.inventory("docker")
    host = open_host(inventory.target(inventory.services[service].host), targets=inventory.hosts)
    return host, inventory.services


def test_a_paused_api_is_seen_and_put_back_over_ssh(site, tmp_path):
    host, services = opened(site, "api")
    ctx = context(host, services, tmp_path)
    try:
        fault = Pause(service="api")
        fault.ready(ctx)
        undo = fault.undo(ctx)
        assert undo.kind == "commands", "the machine itself can put it back"
        fault.inject(ctx)
        try:
            assert fault.active(ctx) is True
            assert Running(service="api", state="paused").run(ctx)["state"] == "paused"
            with pytest.raises((TimeoutError, urllib.error.URLError)):
                OPENER.open(site.lab.api + "/health", timeout=1)
        finally:
            for argv in undo.commands:
                host.run(argv, deadline=ctx.deadline).check()
        assert fault.active(ctx) is False
        with OPENER.open(site.lab.api + "/health", timeout=30) as answer:
            assert answer.status == 200
    finally:
        host.close()


def test_a_step_of_a_run_reaches_the_engine_of_an_ssh_host(site, tmp_path):
    host, services = opened(site, "api")
    redactor = Redactor(())
    try:
        journal = Journal(tmp_path, redactor, origin=0.0)
        ctx = context(RecordingHost(host, journal, "ready.1", redactor), services, tmp_path)
        assert Running(service="api").run(ctx)["state"] == "running"
        assert Exec(service="api", argv=("sh", "-c", "echo out; echo err >&2")).run(ctx) == {
            "exit": 0,
            "stdout": "out",
            "stderr": "err",
            "effect": "read",
        }
        assert Logs(service="api", lines=5).run(ctx)["lines"] <= 5
        journal.close()
    finally:
        host.close()
    assert "dial-stdio" in (tmp_path / "journal.jsonl").read_text()


def well(ctx):
    """Wait until everything is healthy: the engine's health checks run every ten seconds, and a drill may have ended
    just now.
    """
    while True:
        try:
            return Ps(service="api").run(ctx)
        except StepFailed:
            ctx.deadline.wait(0.5)


def test_a_project_as_a_whole(site, tmp_path):
    host, services = opened(site, "api")
    ctx = context(host, services, tmp_path)
    try:
        assert set(well(ctx)["services"]) == set(SERVICES)
        fault = StopServices(service="api", only=("traffic", "prometheus"))
        fault.ready(ctx)
        undo = fault.undo(ctx)
        assert fault.inject(ctx)["stopped"] == ["traffic", "prometheus"], "those last that others need"
        assert fault.active(ctx) is True
        with pytest.raises(StepFailed, match="prometheus is exited") as failure:
            Ps(service="api").run(ctx)
        assert [one.code for one in failure.value.findings] == ["service-state"] * 2
        with pytest.raises(NotReady, match="these services do not run before the drill: prometheus, traffic"):
            fault.ready(ctx)
        assert Up(service="api", only=("prometheus",)).run(ctx)["started"] == ["prometheus"]
        for _ in range(2):
            for argv in undo.commands:
                host.run(argv, deadline=ctx.deadline).check()
            assert fault.active(ctx) is False
        assert Restart(service="api", only=("traffic",)).run(ctx)["restarted"] == ["traffic"]
        with pytest.raises(NotReady, match="has no service 'nobody'"):
            StopServices(service="api", only=("nobody",)).ready(ctx)
    finally:
        host.close()


def test_a_folder_without_the_labs_files(tmp_path):
    with pytest.raises(LabError, match=r"compose.yml, Dockerfile, etc"):
        control.up(Path("/var/tmp/drillbook-test-none-docker"), tmp_path)


def test_no_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(LabError, match="no Docker engine answers") as failure:
        control.build(FILES)
    assert "apt-get install docker.io" in failure.value.hint
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(LabError, match="needs a Docker engine on this machine"):
        control.build(FILES)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST")
    with pytest.raises(LabError, match="docker is not installed"):
        control.build(FILES)


def test_two_folders_never_share_a_name_or_a_port(tmp_path):
    one, other = (DockerLab.preferred(tmp_path / name) for name in ("a", "b"))
    assert one.project != other.project


def test_what_a_lab_left_without_its_folder_is_removed(engine, image):
    lab = DockerLab.preferred(Path("/var/tmp/drillbook-test-gone-docker"))
    made = engine.containers.run(
        image, ["sleep", "60"], detach=True, init=True, labels={"com.docker.compose.project": lab.project}
    )
    remove(lab.project)
    assert subprocess.run(["docker", "inspect", made.id], capture_output=True, check=False).returncode != 0
