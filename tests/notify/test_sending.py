"""Service URLs of apprise: only their scheme may be shown, and reasons come without addresses."""

import pytest

from drillbook.notify import sending
from drillbook.notify.wording import Message
from drillbook.values import Secret
from tests.notify.listener import closed_port, listening

TOKEN = "t0ken-that-nobody-sees"


@pytest.fixture
def way(monkeypatch):
    def of(value):
        monkeypatch.setenv("WAY", value)
        return Secret(source="env", name="WAY")

    return of


@pytest.mark.parametrize(
    ("url", "kind"),
    [(f"slack://{TOKEN}/a/b", "slack"), (f" mailto://user:{TOKEN}@example.org", "mailto"), (TOKEN, ""), ("", "")],
)
def test_only_the_scheme_of_an_address_is_shown(way, url, kind):
    assert sending.kind_of(way(url)) == kind


def test_an_address_that_cannot_be_read_has_no_scheme():
    assert sending.kind_of(Secret(source="env", name="NO_SUCH_VARIABLE")) == ""


def test_a_message_arrives_as_it_was_written(way):
    with listening() as server:
        sending.deliver(way(f"json://127.0.0.1:{server.server_port}/"), Message("a title", "line 1\nline 2", "failure"))
        (got,) = server.wait(1)
    assert (got["title"], got["message"], got["type"]) == ("a title", "line 1\nline 2", "failure")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"json://127.0.0.1:{{closed}}/{TOKEN}", "the service cannot be reached"),
        (f"json://127.0.0.1:{{open}}/{TOKEN}", "the service answered with status 503"),
        (TOKEN, "the value of the secret is not a service URL of apprise"),
    ],
)
def test_a_reason_never_holds_the_address(way, url, why):
    with listening(503) as server, pytest.raises(sending.NotDelivered) as failure:
        sending.deliver(way(url.format(closed=closed_port(), open=server.server_port)), Message("a title", "text"))
    assert str(failure.value).startswith(why)
    assert TOKEN not in str(failure.value)
