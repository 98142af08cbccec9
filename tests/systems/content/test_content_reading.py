"""Readings of content by a command or a request: which ones tell nothing, and which parts are left out."""

import http.server
import threading

import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify
from drillbook.systems.content import content_reading
from drillbook.systems.content.content_reading import Reading


def test_what_cannot_be_read_or_shows_nothing_never_passes(shop):
    shop.file.write_text("a\n")
    facts = shop.take()
    shop.file.write_text("\n")
    with pytest.raises(CouldNotVerify, match="shows no content"):
        shop.compare(facts)
    with pytest.raises(CouldNotVerify, match="shows no content"):
        shop.take()
    shop.file.unlink()
    with pytest.raises(CouldNotVerify, match="ended with status 1: cat: "):
        shop.compare(facts)
    with pytest.raises(CouldNotVerify, match="does not answer"):
        shop.take(url="http://127.0.0.1:9/")
    shop.file.write_text("no json")
    with pytest.raises(CouldNotVerify, match="cannot be parsed"):
        shop.take(format="json")


def test_a_reading_is_a_command_or_a_request(shop):
    with pytest.raises(ValidationError, match="either `command` or `url`"):
        shop.take(url="http://127.0.0.1/", command=["ls"])
    with pytest.raises(ValidationError, match="not a regular expression"):
        shop.take(ignore=["("])


@pytest.fixture
def served():
    """URL of a server that answers with the status in its path, and with the content `b, a`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"b\na\n" if self.headers.get("X-Key") != "json" else b'{"items": [{"n": 2, "at": 5}], "at": 7}'
            self.send_response(int(self.path.strip("/")))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_request_is_read_with_its_headers_and_only_with_the_status_200(ground, served, monkeypatch):
    assert Reading(url=f"{served}/200").read(ground.ctx()) == ["a", "b"]
    assert Reading(url=f"{served}/200", ordered=True).read(ground.ctx()) == ["b", "a"]
    found = Reading(url=f"{served}/200", format="json", headers={"X-Key": "json"}, ignore=["items.*.at", "at"])
    assert found.read(ground.ctx()) == {"items": [{"n": 2}]}
    for status in (203, 404, 500):
        with pytest.raises(CouldNotVerify, match=f"answered {status}"):
            Reading(url=f"{served}/{status}").read(ground.ctx())
    monkeypatch.setattr(content_reading, "MOST_BYTES", 3)
    with pytest.raises(CouldNotVerify, match="longer than the limit of 3 bytes"):
        Reading(url=f"{served}/200").read(ground.ctx())


def test_content_of_which_everything_is_ignored_tells_nothing(ground):
    for reading in (
        {"command": ("echo", "a"), "ignore": ["a"]},
        {"command": ("echo", '{"a": 1}'), "format": "json", "ignore": ["a"]},
    ):
        with pytest.raises(CouldNotVerify, match="shows no content"):
            Reading(**reading).read(ground.ctx())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"b": [{"c": 1}, 2]}),
        ("b.0", {"a": 0, "b": [2]}),
        ("b.*", {"a": 0, "b": []}),
        ("b.0.c", {"a": 0, "b": [{}, 2]}),
        ("*.*.c", {"a": 0, "b": [{}, 2]}),
        ("b.9", {"a": 0, "b": [{"c": 1}, 2]}),
        ("a.c", {"a": 0, "b": [{"c": 1}, 2]}),
    ],
)
def test_a_path_leaves_out_exactly_its_part(path, expected):
    assert content_reading._without({"a": 0, "b": [{"c": 1}, 2]}, path.split(".")) == expected
