"""Program that reads objects on a host, as the host's Python runs it: its file alone, without Drillbook."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drillbook.sdk.store import Store
from drillbook.systems.s3 import reader
from tests.systems.postgres.site import BUCKET


def measured(*asked):
    """Outcomes of the program in a process of its own, which has no other module of Drillbook."""
    source = Path(reader.__file__).read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-"],
        input=f"{source}\nmain({json.dumps(json.dumps(asked))})\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def put(place, key, data):
    return place.s3().put_object(Bucket=BUCKET, Key=key, Body=data)["ETag"]


def test_each_object_is_read_whole_and_in_the_order_asked_for(place):
    whole = {"reader/large": b"x" * (reader.CHUNK + 7), "reader/ü +&%?": b"odd key", "reader/empty": b""}
    for key, data in whole.items():
        put(place, key, data)
    store = Store(place.store)
    assert measured(*[{"url": store.sign_get(key, 60), "etag": ""} for key in whole]) == [
        {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for data in whole.values()
    ]


def test_an_object_that_is_gone_or_was_changed_is_missing(place):
    etag, store = put(place, "reader/one", b"before"), Store(place.store)
    same = {"url": store.sign_get("reader/one", 60), "etag": etag}
    gone = {"url": store.sign_get("reader/gone", 60), "etag": ""}
    assert measured(same, gone)[1] == {"problem": "missing"}
    put(place, "reader/one", b"after")
    assert measured(same) == [{"problem": "missing"}]


def test_a_refusal_of_the_store_is_told_after_some_attempts(place):
    url = Store(place.store).sign_get("reader/any", 60)
    assert measured({"url": url.replace("X-Amz-Signature=", "X-Amz-Signature=0"), "etag": ""}) == [{"problem": "status 403"}]


@pytest.fixture
def cutting():
    """URL of a server that ends its first answer early, and the number of requests."""
    seen = []

    class Cut(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"wh" if len(seen) == 1 else b"whole"[:4])

        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/object", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_that_ends_early_is_asked_for_again(cutting):
    url, seen = cutting
    assert measured({"url": url, "etag": ""}) == [{"size": 4, "sha256": hashlib.sha256(b"whol").hexdigest()}]
    assert len(seen) == 2
