"""Answers that are cut within a secret before they are shown: no part of the secret is in any output of a run."""

import struct

import pytest

from tests.hostile import chunked, serving
from tests.program import HEAD, Folder, here

SECRET = "qzvwkyjx-battery-kxqvzjw"
LOG_LIMIT, SHOWN = 1 << 20, 4_000


def answered(status, body):
    """HTTP server that answers every request with ``body``, or with the result of ``body`` for the first line of the
    request.
    """

    def talk(line):
        file = line.makefile("rb")
        while first := file.readline().decode():
            length = 0
            while header := file.readline().strip():
                length = int(header.split(b":")[1]) if header.lower().startswith(b"content-length") else length
            file.read(length)
            said, code = (body(first), 200) if callable(body) else (body, status)
            if "/start" in first:
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + said)
                return
            line.sendall(b"HTTP/1.1 %d Told\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" % code)
            for piece in chunked([*(said[at : at + 65536] for at in range(0, len(said), 65536)), b""]):
                line.sendall(piece)

    return talk


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.environment["TOKEN"] = SECRET
    return made


def left_by(folder, step, port=0):
    """All output of a run of ``step``: the terminal, and every file of its folder."""
    (folder.root / "inventory" / "lab.yml").write_text(
        f"environment: lab\nhosts: {{{here(folder.root)}}}\nservices:\n"
        f"  app: {{kind: prometheus, host: controller, url: 'http://127.0.0.1:{port}', token: !env TOKEN}}\n"
        f"  api: {{kind: container, host: controller, container: api, engine: 'unix://{folder.root}/engine'}}\n"
    )
    (folder.root / "drills" / "sample.yml").write_text(HEAD + f"verify:\n  - {step}\n".replace("PORT", str(port)))
    done = folder.run("drill", "sample")
    assert folder.latest.is_dir(), done.stdout + done.stderr
    files = [path.read_bytes().decode("utf-8", "replace") for path in folder.latest.rglob("*") if path.is_file()]
    return "\n".join([done.stdout, done.stderr, *files])


def assert_no_half(text):
    assert "***" in text
    halves = [SECRET[:size] for size in (4, 8, 12)] + [SECRET[-size:] for size in (4, 8, 12)]
    assert [half for half in halves if half in text] == []


RESPONDS = "http.responds: {url: 'http://127.0.0.1:PORT/', status: 204}\n    hosts: controller"


@pytest.mark.parametrize("limit", [200, 2000])
@pytest.mark.parametrize("seen", [5, 13, 22])
def test_an_http_answer(folder, limit, seen):
    body = b"." * (limit - seen) + SECRET.encode() + b"." * 3000
    with serving(answered(500, body)) as port:
        assert_no_half(left_by(folder, RESPONDS, port))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b"." * 187 + SECRET.encode() + b"." * 900),
        (422, b'{"status": "error", "error": "' + SECRET.encode() + b"." * 390 + b'"}'),
    ],
)
def test_an_answer_of_monitoring(folder, status, body):
    with serving(answered(status, body)) as port:
        assert_no_half(left_by(folder, "prometheus.alerts: {service: app}", port))


def test_what_an_expectation_measured(folder):
    """Facts are cut before they are written."""
    body = b"." * 378 + SECRET.encode() + b"." * 900
    with serving(answered(200, body)) as port:
        step = "http.responds: {url: 'http://127.0.0.1:PORT/'}\n    hosts: controller\n    expect: [\"result.body == ''\"]"
        assert_no_half(left_by(folder, step, port))


def engine(log=b"", out=b""):
    def body(first):
        if "/version" in first:
            return b'{"ApiVersion": "1.43"}'
        if "/logs" in first:
            return log
        if first.startswith("POST") and "/start" in first:
            return out
        if "/exec/" in first:
            return b'{"Running": false, "ExitCode": 1}'
        if "/exec" in first:
            return b'{"Id": "e1"}'
        return b'{"Id": "c1", "Name": "/api", "Config": {}, "State": {"Status": "running"}}'

    return answered(200, body)


def framed(text):
    return struct.pack(">BxxxL", 1, len(text)) + text


@pytest.mark.parametrize("seen", [5, 13, 22])
def test_a_log_of_a_container(folder, seen):
    lines = (b"." * 99 + b"\n") * (LOG_LIMIT // 100 + 1)
    log = framed(lines[: LOG_LIMIT - seen] + SECRET.encode() + b" and so on\n")
    with serving(engine(log), str(folder.root / "engine")):
        assert_no_half(left_by(folder, "docker.logs: {service: api, lines: 10000}"))


@pytest.mark.parametrize("seen", [5, 13, 22])
def test_the_output_of_a_command_in_a_container(folder, seen):
    out = framed(b"." * 5000 + SECRET.encode() + b"." * (SHOWN - seen))
    with serving(engine(out=out), str(folder.root / "engine")):
        assert_no_half(left_by(folder, "docker.exec: {service: api, argv: [show], effect: read}"))
