"""Grafana dashboard and alert rules, with a real Prometheus that scraped the metrics of real runs."""

import http.server
import json
import os
import sqlite3
import threading
import time
import urllib.parse
from functools import partial
from pathlib import Path

import pytest

from tests.needs import library, need
from tests.ports import free_ports
from tests.program import Folder, fault, step
from tests.systems.prometheus.watch import _running, get

MONITORING = Path(__file__).parents[2] / "src" / "drillbook" / "telemetry" / "monitoring"
CONFIG = """\
global: {scrape_interval: 200ms, evaluation_interval: 200ms}
rule_files: [RULES]
scrape_configs:
  - {job_name: textfile, metrics_path: /drillbook.prom, static_configs: [{targets: ["127.0.0.1:PORT"]}]}
"""
DRILL = """\
every: 7d
objectives: {rto: 60s, rpo: 60s}
probes:
  - http.available: {url: "http://127.0.0.1:PORT/page", every: 100ms, timeout: 1s}
  - command.canary:
      host: controller
      write: [sh, -c, 'echo "$1" | dd of=DIR/page oflag=append conv=notrunc,nocreat status=none', sh, "${record}"]
      read: [cat, DIR/page]
      remove: [sed, -i, "/drillbook-${run}-/d", DIR/page]
      every: 100ms
backup:
  - command.run: {argv: [cp, DIR/page, DIR/saved], effect: write}
    hosts: controller
  - command.run:
      argv: [sh, -c, "until [ $(wc -l <DIR/page) -gt $(($(wc -l <DIR/saved) + 3)) ]; do sleep 0.05; done"]
      effect: read
    name: Wait for writes that the restore will lose
    hosts: controller
"""
RESTORE = """\
restore:
  - backup.restore: {service: copy, from: copies}
  - command.run: {argv: [sh, -c, "cp DIR/saved DIR/page && rm DIR/gone"], effect: write}
    hosts: controller
verify:
  - command.run: {argv: [test, -e, DIR/page], effect: read}
    hosts: controller
"""
SERVICES = """\
services:
  app: {kind: process, host: controller}
  copy: {kind: folder, host: controller, path: DIR/copy, not_drilled: a sandbox,
         sandbox: {data_may_leave: true, folder: DIR/sandbox}}
  copies: {kind: sqlite, service: app, host: controller, at: DIR/copies, not_drilled: a backup}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".prom": "text/plain; version=0.0.4"}

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """Prometheus that scraped the metrics of two real runs. One measured RTO and RPO, and one failed."""
    library("prometheus_client")
    server_program = need("prometheus")
    folder = Folder(tmp_path_factory.mktemp("project"))
    (folder.root / "copies").mkdir()
    book = sqlite3.connect(folder.root / "copies" / "copy.db")
    book.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT)")
    book.execute("INSERT INTO entry (text) VALUES ('hello')")
    book.commit()
    book.close()
    old = time.time() - 30
    os.utime(folder.root / "copies" / "copy.db", (old, old))  # a backup of the time of the run would be a reservation
    (folder.root / "page").write_text("here")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder.root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield from scraped(server_program, folder, server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scraped(program, folder, port):
    path = folder.root / "inventory" / "lab.yml"
    path.write_text(path.read_text().split("services:")[0] + SERVICES.replace("DIR", str(folder.root)))
    (folder.root / "drillbook.yml").write_text("metrics: drillbook.prom\n")
    breaks = fault(
        ["mv", f"{folder.root}/page", f"{folder.root}/gone"],
        ["sh", "-c", f"[ ! -e {folder.root}/gone ] || mv -f {folder.root}/gone {folder.root}/page"],
        ["test", "-e", f"{folder.root}/gone"],
    )
    folder.write(DRILL.replace("PORT", str(port)) + breaks + RESTORE)
    folder.write("every: 7d\nrestore:\n" + step(["false"]), "broken")
    done = folder.run("drill", "sample")
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.run("drill", "broken").returncode == 1
    (own,) = free_ports(1)
    place = folder.root / "prometheus"
    place.mkdir()
    (place / "prometheus.yml").write_text(
        CONFIG.replace("PORT", str(port)).replace("RULES", str(MONITORING / "drillbook.rules.yml"))
    )
    url = f"http://127.0.0.1:{own}"
    argv = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{own}"]
    with _running(argv, place, "prometheus", f"{url}/-/ready"):
        until(lambda: query(url, "drillbook_metrics_written_timestamp_seconds"))
        yield url


def until(found, seconds=60):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


def query(url, expression):
    return get(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["data"]["result"]


DASHBOARD = json.loads((MONITORING / "drillbook.dashboard.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(
    ("title", "expression"), QUERIES, ids=[f"{title} {number}" for number, (title, _) in enumerate(QUERIES)]
)
def test_every_query_of_the_dashboard_has_a_result(prometheus, title, expression):
    for name in ("service", "environment"):
        expression = expression.replace(f"${name}", ".*")
    measured = expression.removesuffix(" or vector(0)")  # a figure of the runs, and not the 0 that stands in for none
    assert query(prometheus, measured), title
    assert query(prometheus, expression), title


def test_the_lower_bound_of_an_rto_is_never_negative(prometheus):
    """The error of a short RTO may be larger than the RTO itself."""
    (expression,) = [one for _, one in QUERIES if "drillbook_recovery_error_seconds" in one]
    larger = expression.replace("- drillbook", "- 1e6 * drillbook").replace("$service", ".*").replace("$environment", ".*")
    assert larger.count("1e6") == 1
    assert [one["value"][1] for one in query(prometheus, larger)] == ["0"]


@pytest.mark.parametrize("name", ["service", "environment"])
def test_the_variables_of_the_dashboard_have_values(prometheus, name):
    (variable,) = [one for one in DASHBOARD["templating"]["list"] if one["name"] == name]
    metric = variable["query"]["query"].removeprefix("label_values(").split(",")[0]
    values = {one["metric"].get(name) for one in query(prometheus, metric)}
    assert values == ({"app"} if name == "service" else {"lab"})


def test_the_alerts_that_fire_are_those_of_the_runs(prometheus):
    def firing():
        alerts = get(f"{prometheus}/api/v1/alerts")["data"]["alerts"]
        return {(one["labels"]["alertname"], one["labels"].get("drill", "")) for one in alerts if one["state"] == "firing"}

    expected = {
        ("DrillbookLastRunNotPassed", "broken"),
        ("DrillbookNeverPassed", "broken"),
        ("DrillbookProofTooOld", "broken"),
    }
    assert until(lambda: firing() if len(firing()) >= len(expected) else None) == expected
    reserved = query(prometheus, 'drillbook_recovery_reservation{drill="sample"}')
    assert [one["value"][1] for one in reserved if one["value"][1] != "0"] == []


def test_the_figures_are_those_of_the_reports(prometheus):
    (one,) = query(prometheus, 'drillbook_recovery_measured_seconds{drill="sample", service="app", objective="rto"}')
    assert 0 < float(one["value"][1]) < 60
    (one,) = query(prometheus, 'drillbook_recovery_measured_seconds{drill="sample", service="app", objective="rpo"}')
    assert 0 < float(one["value"][1]) < 60, "the writes after the copy are lost"
    (one,) = query(prometheus, 'drillbook_restore_size_bytes{drill="sample", service="app"}')
    assert float(one["value"][1]) >= 8192
