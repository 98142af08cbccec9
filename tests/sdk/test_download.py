"""Scripts that download on a host, with curl and with Python, from a real server."""

import http.server
import os
import shutil
import subprocess
import sys
import threading

import pytest

from drillbook.sdk import download
from tests.needs import need

CONTENT = bytes(range(256)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ranged = self.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
        data = CONTENT[: int(ranged) + 1] if ranged and self.path != "/no-range" else CONTENT
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            data = b""
        else:
            self.send_response(404 if self.path == "/absent" else 206 if ranged else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if self.path == "/cut" else data)

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def server():
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


@pytest.fixture(params=["curl", "python3"])
def host(request, tmp_path):
    """Runs a script on a host that has only one of the two programs."""
    (folder := tmp_path / "bin").mkdir()
    for name in ("sh", "cat", *(["curl"] if request.param == "curl" else [])):
        need(name)
        (folder / name).symlink_to(os.path.realpath(shutil.which(name)))
    if request.param == "python3":
        (folder / "python3").write_text(f'#!{shutil.which("sh")}\nexec {sys.executable} "$@"\n')
        (folder / "python3").chmod(0o755)

    def run(script, url, *arguments):
        env = {"PATH": str(folder), "http_proxy": "http://127.0.0.1:1"}
        words = [shutil.which("sh"), "-c", script, "sh", *arguments]
        return subprocess.run(words, input=f"{url}\n".encode(), env=env, capture_output=True, check=False, timeout=60)

    return run


@pytest.mark.parametrize("path", ["/whole", "/moved"])
def test_a_file_is_downloaded_for_this_user_alone(host, server, tmp_path, path):
    done = host(download.WHOLE, f"{server}{path}", f"{tmp_path}/file")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["/absent", "/cut"])
def test_an_error_and_an_answer_that_ends_early_are_failures(host, server, tmp_path, path):
    done = host(download.WHOLE.replace("--retry 3", ""), f"{server}{path}", f"{tmp_path}/file")
    assert done.returncode != 0
    assert done.stderr


def test_the_beginning_is_read_alone(host, server):
    done = host(download.BEGINNING, f"{server}/whole", "1000")
    assert (done.returncode, done.stdout) == (0, CONTENT[:1000])


def test_headers_are_asked_for_with_one_byte(server):
    need("curl")
    words = ["sh", "-c", download.HEADERS]
    done = subprocess.run(words, input=f"{server}/whole\n".encode(), capture_output=True, check=True, timeout=60)
    assert b"206" in done.stdout.splitlines()[0]
    assert b"Content-Length: 1" in done.stdout
