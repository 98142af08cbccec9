"""Probe content.unchanged: the bytes of a page, compared with those of its first good answer."""

import http.server
import threading

import pytest

from drillbook.sdk.web import BODY_LIMIT
from drillbook.systems.http.probes.content import Unchanged
from drillbook.values import Duration


@pytest.fixture
def page():
    """Server of one page; tests set its status and its body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.says
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            del args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        served = threading.Thread(target=made.serve_forever)
        served.start()
        yield made
        made.shutdown()
        served.join()


def probe_of(page):
    return Unchanged(url=f"http://127.0.0.1:{page.server_port}/")


def test_other_bytes_with_the_same_status_are_seen_until_the_first_come_back(page):
    probe = probe_of(page)
    page.says = 200, b"the page"
    assert (probe.check(None), probe.check(None)) == (None, None)
    page.says = 200, b"the pagE"
    assert probe.check(None).startswith("different content: sha256 ")
    page.says = 200, b"the page"
    assert probe.check(None) is None


def test_an_error_is_no_first_answer(page):
    probe = probe_of(page)
    page.says = 503, b"try later"
    assert probe.check(None) == "status 503: try later"
    page.says = 200, b"the page"
    assert probe.check(None) is None


def test_each_probe_has_a_first_answer_of_its_own(page):
    page.says = 200, b"old"
    assert probe_of(page).check(None) is None
    page.says = 200, b"new"
    assert probe_of(page).check(None) is None


def test_an_answer_that_is_too_long_to_be_compared_is_told(page):
    page.says = 200, b"x" * (BODY_LIMIT + 1)
    assert probe_of(page).check(None) == f"the answer is longer than the {BODY_LIMIT} bytes that are compared"


def test_no_answer_is_told(drip):
    assert "refused" in Unchanged(url="http://127.0.0.1:9/").check(None)
    assert Unchanged(url=drip, timeout=Duration(0.2), every=Duration(0.2)).check(None).startswith("no answer within")
