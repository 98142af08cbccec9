"""Links of the documentation to other sites: all are in the list with the day on which they last answered, and are https."""

from __future__ import annotations

import re
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench import links


def test_each_link_to_another_site_is_in_the_list_and_is_https():
    places, listed = links.links(links.pages()), links.read()
    assert places
    assert {link: at for link, at in places.items() if link not in listed} == {}, (
        "run `invoke links` where there is a network"
    )
    assert {link: at for link, at in places.items() if not link.startswith("https://")} == {}
    assert listed.keys() - places.keys() == set(), "no page has these links any more: remove them from the list"
    assert [day for day in listed.values() if day != links.NEVER and not re.fullmatch(r"20\d\d-\d\d-\d\d", day)] == []


class Answers(BaseHTTPRequestHandler):
    """Site on which only the page /there exists."""

    def do_GET(self):
        self.send_response(200 if self.path == "/there" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Print nothing."""


def test_what_leads_nowhere_is_told_with_its_place_and_what_answered_gets_the_day(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text(
        f"[a]({site}/there) and <{site}/gone>\n```sh\ncurl <{site}/example>\n```\n`<{site}/code>`\n[b]: {site}/gone\n"
    )
    listed = tmp_path / "links.txt"
    listed.write_text(f"2025-01-02 {site}/gone\n2025-01-02 {site}/there\n")
    try:
        wrong = links.check(links.links(links.pages(tmp_path), tmp_path), date(2026, 11, 30), listed)
    finally:
        server.shutdown()
        server.server_close()
    assert wrong == [f"docs/page.md:{line}: {site}/gone: status 404" for line in (1, 6)]
    assert links.read(listed) == {f"{site}/gone": "2025-01-02", f"{site}/there": "2026-11-30"}
    assert links.failure(f"{site}/there"), "the site is gone"
