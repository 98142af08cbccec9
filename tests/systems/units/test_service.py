"""service.answers: a service without a unit works when it answers at its port, also through SSH."""

import socket
import threading

import pytest

from drillbook.inventory import inventory
from drillbook.judge.result import Verdict
from drillbook.sdk.action import find
from drillbook.systems.linux.service import Tcp
from drillbook.systems.units.service import Process
from tests.engine.test_runner import HOSTS, Bench
from tests.systems.refusals import refused_until

STEP = "verify:\n  - service.answers: {service: it}\n"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def asked(bench, entry):
    head = HOSTS.replace("SCRATCH", str(bench.root / "scratch")).replace("services: {", f"services: {{it: {entry}, ")
    (bench.root / "hosts.yml").write_text(head)
    bench.inventory = inventory.load(bench.root / "hosts.yml")
    return bench.run(STEP)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_a_port_that_accepts(bench, listener):
    view = asked(bench, f"{{kind: tcp, host: controller, port: {listener.getsockname()[1]}}}")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts["answers"] is True


def test_a_port_that_refuses(bench, listener):
    port = listener.getsockname()[1]
    listener.close()
    view = asked(bench, f"{{kind: tcp, host: controller, port: {port}}}")
    assert view.result.verdict is Verdict.FAILED
    (found,) = view.result.findings
    assert (found.code, found.measured) == ("port-state", "Connection refused")
    assert f"127.0.0.1:{port}" in found.title


def test_one_that_hangs_up_at_once_as_a_tunnel_to_a_closed_port_does(bench, listener):
    def hang_up():
        listener.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    view = asked(bench, f"{{kind: tcp, host: controller, port: {listener.getsockname()[1]}}}")
    thread.join()
    assert view.result.verdict is Verdict.FAILED
    assert "closed at once" in view.result.findings[0].measured


def test_a_store_is_asked_at_its_endpoint_and_has_to_answer(bench, listener):
    store = "{{kind: s3, host: controller, endpoint: 'http://127.0.0.1:{}', bucket: a, access_key: !env HOME, secret_key: !env HOME}}"

    def answer():
        session = listener.accept()[0]
        assert session.recv(100).startswith(b"HEAD / ")
        session.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        session.close()

    thread = threading.Thread(target=answer)
    thread.start()
    view = asked(bench, store.format(listener.getsockname()[1]))
    thread.join()
    assert view.result.verdict is Verdict.PASSED, view.result.reason


def test_one_without_port_or_url_is_refused_before_anything(bench):
    view = asked(bench, "{kind: process, host: controller}")
    assert view.result.verdict is Verdict.REFUSED
    assert "neither a port nor a URL" in view.result.findings[0].measured


def test_one_with_neither_a_port_nor_a_url_is_told(ground, listener):
    ground.services["it"] = Process(name="it", host="here")
    answers, port = find("service.answers").model_validate({"service": "it"}), listener.getsockname()[1]
    refused_until(
        lambda: answers.ready(ground.ctx()),
        "the inventory names neither a port nor a URL of it",
        lambda: ground.services.update(it=Tcp(name="it", host="here", port=port)),
    )
