"""Real Prometheus and Alertmanager on loopback, which monitor whether files exist."""

import json
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.needs import need
from tests.ports import free_ports

SCRAPE_S = 0.25
CONFIG = """\
global: {scrape_interval: 250ms, evaluation_interval: 250ms}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:ALERTMANAGER']}]}]}
scrape_configs: [{job_name: files, static_configs: [{targets: ['127.0.0.1:TARGET']}]}]
"""
RULES = """\
groups:
  - name: files
    rules:
      - alert: FileThere
        expr: file_there == 1
      - alert: FileThereForLong
        expr: file_there == 1
        for: 1h
"""
RECEIVERS = "route: {receiver: oncall, group_wait: 0s}\nreceivers: [{name: oncall}]\n"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Files(ThreadingHTTPServer):
    """Serves ``file_there{file="NAME"}`` for each path of ``watched``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.watched = {}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        lines = [f'file_there{{file="{name}"}} {int(path.exists())}\n' for name, path in self.server.watched.items()]
        body = ("# TYPE file_there gauge\n" + "".join(lines)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Watch:
    """Exporter, Prometheus and Alertmanager; ``prometheus`` and ``alertmanager`` are root URLs, ``pid`` is that of
    Prometheus.
    """

    def __init__(self, files, prometheus, alertmanager, process):
        self.files, self.prometheus, self.alertmanager, self.process = files, prometheus, alertmanager, process

    def watch(self, name, path):
        self.files.watched[name] = path
        self.until(lambda: any(one["metric"]["file"] == name for one in self.query("file_there")))

    def query(self, text):
        return get(f"{self.prometheus}/api/v1/query?query={text}")["data"]["result"]

    def until(self, true, seconds=60):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end
            time.sleep(0.05)

    def received(self, name):
        """Alerts of one file in Alertmanager, after it has applied the silences."""
        return [
            one
            for one in get(f"{self.alertmanager}/api/v2/alerts?filter=file={name}")
            if one["status"]["state"] != "unprocessed"
        ]

    def silence(self, name):
        """Silence the alerts of one file."""
        now = time.time()
        stamp = "%Y-%m-%dT%H:%M:%SZ"
        post(
            f"{self.alertmanager}/api/v2/silences",
            {
                "matchers": [{"name": "file", "value": name, "isRegex": False}],
                "createdBy": "test",
                "comment": "test",
                "startsAt": time.strftime(stamp, time.gmtime(now - 60)),
                "endsAt": time.strftime(stamp, time.gmtime(now + 3600)),
            },
        )


def get(url):
    with _OPENER.open(url, timeout=10) as answer:
        return json.loads(answer.read())


def post(url, data):
    request = urllib.request.Request(url, json.dumps(data).encode(), {"Content-Type": "application/json"})
    with _OPENER.open(request, timeout=10) as answer:
        return json.loads(answer.read())


def _answers(url):
    try:
        with _OPENER.open(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextmanager
def _running(argv, folder, name, ready):
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail((folder / f"{name}.log").read_text())
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def watching(folder):
    """Start all programs in ``folder``; they are stopped at the end."""
    server, am = need("prometheus"), need("prometheus-alertmanager")
    files = Files()
    thread = threading.Thread(target=files.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    port, am_port = free_ports(2)
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(
        CONFIG.replace("ALERTMANAGER", str(am_port)).replace("TARGET", str(files.server_port))
    )
    (folder / "alertmanager.yml").write_text(RECEIVERS)
    prometheus, alertmanager = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{am_port}"
    try:
        with (
            _running(
                [
                    am,
                    "--config.file=alertmanager.yml",
                    "--storage.path=am",
                    "--cluster.listen-address=",
                    f"--web.listen-address=127.0.0.1:{am_port}",
                ],
                folder,
                "alertmanager",
                f"{alertmanager}/-/ready",
            ),
            _running(
                [
                    server,
                    "--config.file=prometheus.yml",
                    "--storage.tsdb.path=tsdb",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                folder,
                "prometheus",
                f"{prometheus}/-/ready",
            ) as process,
        ):
            yield Watch(files, prometheus, alertmanager, process)
    finally:
        files.shutdown()
        thread.join()
        files.server_close()
