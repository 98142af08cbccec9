"""One HTTP request: its headers, redirects, bodies that are too long or end early, and servers that do not answer HTTP."""

import http.server
import socket
import threading

import pytest

from drillbook.sdk import web


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {
            "/headers": str(dict(self.headers)).encode(),
            "/long": b"x" * 100,
        }.get(self.path, b"whole")
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/headers")
        self.send_header("Content-Length", str(len(body) + (10 if self.path == "/cut" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def server():
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


def test_a_redirect_is_not_followed(server):
    answer = web.ask(f"{server}/moved", timeout=10)
    assert (answer.status, answer.body, answer.complete) == (302, b"whole", True)


def test_a_body_is_read_up_to_the_limit(server):
    answer = web.ask(f"{server}/long", timeout=10, limit=99)
    assert (len(answer.body), answer.complete) == (99, False)
    assert web.ask(f"{server}/long", timeout=10, limit=100).complete


def test_a_body_that_ends_early_is_no_answer(server):
    with pytest.raises(OSError, match="no HTTP answer: IncompleteRead"):
        web.ask(f"{server}/cut", timeout=10)


def test_a_request_belongs_to_the_trace_of_its_run(server):
    with web.traced("00-ab-cd-01"):
        assert b"00-ab-cd-01" in web.ask(f"{server}/headers", timeout=10).body
    said = web.ask(f"{server}/headers", timeout=10, headers={"User-Agent": "other"}).body
    assert b"traceparent" not in said
    assert b"other" in said


def test_no_proxy_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert web.ask(f"{server}/", timeout=10).body == b"whole"


def test_a_server_that_does_not_speak_http_gives_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as found:

        def serve():
            connection, _ = found.accept()
            connection.recv(1000)
            connection.sendall(b"220 mail.example.com\r\n")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError, match="no HTTP answer: BadStatusLine"):
            web.ask(f"http://127.0.0.1:{found.getsockname()[1]}/", timeout=10)
        thread.join()


@pytest.mark.parametrize("url", ["http:///path", "nothing"])
def test_a_url_without_a_host_is_told(url):
    with pytest.raises(OSError, match="contains no host name"):
        web.ask(url, timeout=1)
