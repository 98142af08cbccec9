"""Health of an HTTP service: its path, status, body, header and certificate, requested from a real server."""

import http.server
import ssl
import subprocess
import threading
from contextlib import contextmanager

import pytest
import yaml

from drillbook.errors import InventoryError
from drillbook.inventory import inventory
from drillbook.judge.result import Verdict
from tests.engine.test_runner import HOSTS, Bench

STEP = "verify:\n  - http.health: {service: api}\n"


class Own(http.server.BaseHTTPRequestHandler):
    """Server that is healthy with status 204 or the text `fine` at a configured path, for clients with the token."""

    def do_GET(self):
        status, body = {"/-/ready": (204, b""), "/status": (200, b"all is fine"), "/ill": (200, b"no")}.get(
            self.path, (404, b"")
        )
        if self.path == "/secret":
            status = 200 if self.headers["X-Token"] == "opensesame" else 401
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def served(context=None):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as found:
        if context is not None:
            found.socket = context.wrap_socket(found.socket, server_side=True)
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found.server_port
        found.shutdown()
        thread.join()


@pytest.fixture
def port():
    with served() as found:
        yield found


class Site(Bench):
    """A bench whose inventory has one HTTP service."""

    def with_api(self, url, **more):
        text = HOSTS.replace("SCRATCH", str(self.root / "scratch"))
        api = {"kind": "http", "host": "controller", "url": url, **more}
        services = yaml.safe_dump({"api": api, "app": {"kind": "process", "host": "controller"}}, default_flow_style=True)
        head, _, _ = text.partition("services:")
        (self.root / "hosts.yml").write_text(
            head + f"services: {services.replace(chr(39) + '!env TOKEN' + chr(39), '!env TOKEN')}"
        )
        self.inventory = inventory.load(self.root / "hosts.yml")
        return self


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("health", "verdict"),
    [
        ("/-/ready", Verdict.PASSED),
        ({"path": "/-/ready", "status": 204}, Verdict.PASSED),
        ({"path": "/-/ready", "status": 200}, Verdict.FAILED),
        ({"path": "/status", "contains": "fine"}, Verdict.PASSED),
        ({"path": "/ill", "contains": "fine"}, Verdict.FAILED),
        ({"path": "/nothing", "status": 404}, Verdict.PASSED),
        ("/nothing", Verdict.FAILED),
        (None, Verdict.FAILED),
    ],
)
def test_a_service_is_healthy_by_its_own_answer(site, port, health, verdict):
    more = {"health": health} if health else {}
    view = site.with_api(f"http://127.0.0.1:{port}", **more).run(STEP)
    assert view.result.verdict is verdict, view.result.reason


def test_health_can_be_at_a_port_of_its_own(site, port):
    view = site.with_api("http://127.0.0.1:1", health=f"http://127.0.0.1:{port}/status").run(STEP)
    assert view.result.verdict is Verdict.PASSED, view.result.reason


def test_a_token_comes_from_a_secret_and_stays_one(site, port, monkeypatch):
    monkeypatch.setenv("TOKEN", "opensesame")
    health = {"path": "/secret", "headers": {"X-Token": "!env TOKEN"}}
    view = site.with_api(f"http://127.0.0.1:{port}", health=health).run(STEP)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert not [file for file in site.folder.rglob("*") if file.is_file() and b"opensesame" in file.read_bytes()]


def test_a_certificate_of_ones_own_authority(site, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "ca.pem", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    with served(context) as port:
        url = f"https://127.0.0.1:{port}"
        for name in ("gone.pem", "key.pem"):
            view = site.with_api(url, health={"path": "/status", "ca": str(tmp_path / name)}).run(STEP)
            assert view.result.verdict is Verdict.REFUSED, view.result.reason
            assert f"api: the CA certificates in {tmp_path / name} cannot be read: " in view.result.findings[0].measured
        view = site.with_api(url, health={"path": "/status", "ca": str(tmp_path / "ca.pem")}).run(STEP)
        assert view.result.verdict is Verdict.PASSED, view.result.reason
        view = site.with_api(url, health="/status").run(STEP)
        assert view.result.verdict is Verdict.FAILED
        assert "certificate" in view.result.findings[0].measured


@pytest.mark.parametrize("health", ["health", {"path": "x y"}, {"status": 99}, {"pth": "/x"}])
def test_a_wrong_entry_is_refused_with_its_place(site, health):
    with pytest.raises(InventoryError, match=r"hosts\.yml"):
        site.with_api("http://127.0.0.1:1", health=health)


def test_the_usual_health_changes_no_plan(site):
    (api,) = (one for one in site.with_api("http://127.0.0.1:1").inventory.services.values() if one.name == "api")
    assert "health" not in api.model_dump(mode="json")
    (own,) = (
        one for one in site.with_api("http://127.0.0.1:1", health="/x").inventory.services.values() if one.name == "api"
    )
    assert own.model_dump(mode="json")["health"]["path"] == "/x"
