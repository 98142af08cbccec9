"""The request after each success, to a real server."""

import pytest

from drillbook.notify.heartbeat import beat
from drillbook.notify.sending import NotDelivered
from drillbook.values import Secret
from tests.notify.listener import closed_port, listening


@pytest.fixture
def secret(monkeypatch):
    def of(value):
        monkeypatch.setenv("HEARTBEAT", value)
        return Secret(source="env", name="HEARTBEAT")

    return of


def test_a_success_is_a_request_to_the_address(secret):
    with listening() as server:
        beat(secret(f" http://127.0.0.1:{server.server_port}/ping/token\n"))
    assert [request["path"] for request in server.got] == ["/ping/token"]


@pytest.mark.parametrize("status", [300, 404, 500])
def test_another_answer_is_told_without_the_address(secret, status):
    with listening(status) as server, pytest.raises(NotDelivered) as failure:
        beat(secret(f"http://127.0.0.1:{server.server_port}/ping/token"))
    assert str(failure.value) == f"the service answered with status {status}"


def test_a_service_that_is_away_and_a_missing_secret_are_told(secret):
    with pytest.raises(NotDelivered, match="cannot be reached") as failure:
        beat(secret(f"http://127.0.0.1:{closed_port()}/ping/token"))
    assert "token" not in str(failure.value)
    with pytest.raises(NotDelivered, match="NO_SUCH_VARIABLE"):
        beat(Secret(source="env", name="NO_SUCH_VARIABLE"))
