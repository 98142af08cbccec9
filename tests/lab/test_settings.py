"""Settings of the API, read from its environment."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.lab.app.settings import REQUIRED, Settings, SettingsError
from drillbook.lab.containers import settings as container_settings
from drillbook.lab.containers.layout import MACHINES, DockerLab
from drillbook.lab.layout import ADDRESS, SECRETS, Lab
from tests import waiting
from tests.lab.looking import until

from .conftest import run


def test_an_api_without_a_variable_says_which(lab: Lab) -> None:
    file = lab.home("app-1") / "api.env"
    whole = file.read_text()
    names = [line.split("=")[0] for line in whole.splitlines()]
    assert [line.rstrip("=") for line in (file.parent / "api.env.template").read_text().splitlines()] == names
    log = file.parent / "log" / "api.log"
    said = "missing environment variables: REDIS_URL"
    before = log.read_text().count(said)
    try:
        run(lab, "app-1", "sed -i /^REDIS_URL/d api.env")
        # Its end is an error of this command if it comes soon; on a busy machine, the API has counted as started by then.
        run(lab, "app-1", "supervisorctl -c supervisord.conf restart api")
        waiting.until(lambda: log.read_text().count(said) > before, "the API names the variable")
    finally:
        run(lab, "app-1", "cat > api.env", stdin=whole.encode())
        run(lab, "app-1", "supervisorctl -c supervisord.conf restart api")
        until(200, lab, "/health")


ENVIRONMENT = dict.fromkeys(REQUIRED, "x") | {"API_PORT": "8000"}
OPTIONAL = ("API_HOST", "DATABASE_POOL_SIZE", "API_HEALTH_WITHIN", "API_WORKERS", "LAB_FAULTS")


def set_environment(monkeypatch, values):
    for name in (*REQUIRED, *OPTIONAL):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("more", "size", "within", "workers", "faults"),
    [
        ({}, 10, 0.9, 1, False),
        ({"DATABASE_POOL_SIZE": "2", "API_HEALTH_WITHIN": "0.2", "API_WORKERS": "0"}, 2, 0.2, 1, False),
        ({"API_WORKERS": "2", "LAB_FAULTS": "1"}, 10, 0.9, 2, True),
    ],
)
def test_settings_that_are_left_out_have_a_default(monkeypatch, more, size, within, workers, faults):
    set_environment(monkeypatch, ENVIRONMENT | more)
    made = Settings.load()
    assert (made.host, made.port) == ("127.0.0.1", 8000)
    assert (made.pool_size, made.health_within, made.workers, made.switches.allowed) == (size, within, workers, faults)


def test_every_missing_variable_is_named_at_once(monkeypatch):
    set_environment(monkeypatch, {**ENVIRONMENT, "API_PORT": "", "S3_BUCKET": ""})
    with pytest.raises(
        SettingsError, match=r"^missing environment variables: API_PORT, S3_BUCKET \(see api.env.template\)$"
    ):
        Settings.load()


def start(tmp_path, environment):
    """Result of a start of the API that cannot succeed."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "drillbook.lab.app"],
        env={"PATH": os.environ["PATH"]} | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_start_that_cannot_succeed_has_a_status_of_its_own(tmp_path):
    done = start(tmp_path, {})
    assert (done.returncode, "missing environment variables: API_PORT" in done.stderr) == (78, True), done.stderr
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start(tmp_path, ENVIRONMENT | {"API_PORT": str(port)})
    assert (done.returncode, f"cannot listen on port {port}: Address already in use" in done.stderr) == (71, True), (
        done.stderr
    )


def test_the_settings_of_the_containers_are_written_to_the_folders_that_they_mount(tmp_path, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    lab, files = DockerLab.preferred(tmp_path), Path(__file__).parents[2] / "lab"
    (tmp_path / "secrets").mkdir()
    for name in SECRETS:
        (tmp_path / "secrets" / name).write_text(f"the-{name}")
    container_settings.write(lab, files, "some-tag")
    api = dict(line.split("=", 1) for line in (tmp_path / "app/settings/api.env").read_text().splitlines())
    template = (tmp_path / "app/settings/api.env.template").read_text()
    assert [line.rstrip("=") for line in template.splitlines()] == list(api), "the template has every name and no value"
    assert (api["API_HOST"], api["S3_SECRET_KEY"]) == ("0.0.0.0", "the-s3_secret")
    known = (tmp_path / "known_hosts").read_text().splitlines()
    assert [line.split()[0] for line in known] == [f"[{ADDRESS}]:{lab.port(f'ssh.{host}')}" for host in MACHINES.values()]
    assert len({line.split()[2] for line in known}) == len(MACHINES)
    assert (tmp_path / "id").stat().st_mode & 0o077 == 0
    variables = dict(line.split("=", 1) for line in (tmp_path / "compose.env").read_text().splitlines())
    assert (variables["TAG"], variables["LAB"], variables["SSH_DB"]) == (
        "some-tag",
        str(tmp_path),
        str(lab.port("ssh.db-1")),
    )
    used = set(re.findall(r"\$\{(\w+)\}", (files / "compose.yml").read_text()))
    assert used <= set(variables)
    assert "PORT" not in (tmp_path / "monitoring/prometheus.yml").read_text()
