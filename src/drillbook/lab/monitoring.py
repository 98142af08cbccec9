"""The lab's Prometheus and Alertmanager on store-1, which watch the API and PostgreSQL by the handbook's rules.

They are the machine's own programs (Debian: `prometheus`, `prometheus-alertmanager`); no wheel has them. Where they are
missing the lab has neither, its inventory says so, and a drill that needs them is not run here.
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.resources import files

from drillbook.lab.layout import ADDRESS, Lab, put

HOST = "store-1"
RULES = "handbook.rules.yml"
SHORTER = (("[5m]", "[10s]"), ("for: 1m", "for: 2s"))
"""What the windows of the handbook's rules are in a lab, where a drill waits for them."""
EVERY = "1s"
KEPT = "2h"


def servers(path: str) -> tuple[str, str] | None:
    """Prometheus and Alertmanager in the search path ``path``; None unless both are there."""
    prometheus = shutil.which("prometheus", path=path)
    alertmanager = shutil.which("prometheus-alertmanager", path=path) or shutil.which("alertmanager", path=path)
    return (prometheus, alertmanager) if prometheus and alertmanager else None


def commands(lab: Lab, path: str) -> dict[str, str]:
    """The programs that monitor the lab, by name; none where the machine has no Prometheus."""
    found = servers(path)
    if found is None:
        return {}
    home = lab.home(HOST)
    return {
        "exporter": f'"{sys.executable}" -P -m drillbook.lab.exporter {lab.port("exporter")} {lab.port("postgres.db-1")} '
        f'"{lab.folder / "secrets" / "pg_admin"}"',
        "alertmanager": f'"{found[1]}" --config.file="{home / "alertmanager.yml"}" --storage.path="{home / "alertmanager"}" '
        f"--cluster.listen-address= --web.listen-address={ADDRESS}:{lab.port('alertmanager')} "
        "--log.level=warn",
        "prometheus": f'"{found[0]}" --config.file="{home / "prometheus.yml"}" --storage.tsdb.path="{home / "prometheus"}" '
        f"--storage.tsdb.retention.time={KEPT} --web.listen-address={ADDRESS}:{lab.port('prometheus')} "
        "--log.level=warn",
    }


def rules() -> str:
    """The handbook's rules with shorter windows."""
    text = files("drillbook.lab").joinpath(RULES).read_text(encoding="utf-8")
    for window, shorter in SHORTER:
        text = text.replace(window, shorter)
    return text


def configure(lab: Lab) -> None:
    """Write what the programs of ``commands`` read."""
    home = lab.home(HOST)
    jobs = {"api": "api", "postgres": "exporter"}
    prometheus = {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [_targets(lab, "alertmanager")]},
        "scrape_configs": [{"job_name": job, "static_configs": [_target(lab, port)]} for job, port in jobs.items()],
    }
    alertmanager = {
        "route": {"receiver": "oncall", "group_wait": "0s", "group_interval": EVERY},
        "receivers": [{"name": "oncall"}],
    }
    put(home / RULES, rules())
    put(home / "prometheus.yml", json.dumps(prometheus, indent=1) + "\n")  # JSON is YAML too
    put(home / "alertmanager.yml", json.dumps(alertmanager, indent=1) + "\n")


def _target(lab: Lab, port: str) -> dict[str, list[str]]:
    return {"targets": [f"{ADDRESS}:{lab.port(port)}"]}


def _targets(lab: Lab, port: str) -> dict[str, list[dict[str, list[str]]]]:
    return {"static_configs": [_target(lab, port)]}
