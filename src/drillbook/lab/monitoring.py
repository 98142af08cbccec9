"""The lab's Prometheus and Alertmanager on store-1. They monitor the API and PostgreSQL with the rules of the handbook.

Both programs come from Debian packages (`prometheus`, `prometheus-alertmanager`), because there are no Python wheels of
them. On a machine without these programs, the lab has no monitoring. Its inventory says so, and drills that need monitoring
are skipped.
"""

from __future__ import annotations

import json
import shutil
import sys

from drillbook.catalog import shipped_files
from drillbook.lab.layout import ADDRESS, Lab, put

HOST = "store-1"
RULES = "handbook.rules.yml"
SHORTER = (("[5m]", "[10s]"), ("for: 1m", "for: 2s"))
"""Replacements of texts in the handbook's alert rules. They shorten time windows, because drills wait for the alerts."""
EVERY = "1s"
KEPT = "2h"
JOBS = {"api": "api", "postgres": "exporter"}
"""Jobs of Prometheus. The key of each entry is the job, and the value is the name, in the lab, of the port that Prometheus
scrapes.
"""


def servers(path: str) -> tuple[str, str] | None:
    """Return the paths of Prometheus and Alertmanager in the search path ``path``. Returns None when one of them is missing."""
    prometheus = shutil.which("prometheus", path=path)
    alertmanager = shutil.which("prometheus-alertmanager", path=path) or shutil.which("alertmanager", path=path)
    return (prometheus, alertmanager) if prometheus and alertmanager else None


def commands(lab: Lab, path: str) -> dict[str, str]:
    """Return the commands that start Prometheus, Alertmanager and the exporter of PostgreSQL. The key of each command is the
    name of the program. The result is empty when Prometheus or Alertmanager is not installed.
    """
    programs = servers(path)
    if programs is None:
        return {}
    home = lab.home(HOST)
    return {
        "exporter": f'"{sys.executable}" -P -m drillbook.lab.exporter {lab.port("exporter")} {lab.port("postgres.db-1")} '
        f'"{lab.folder / "secrets" / "pg_admin"}"',
        "alertmanager": f'"{programs[1]}" --config.file="{home / "alertmanager.yml"}" --storage.path="{home / "alertmanager"}" '
        f"--cluster.listen-address= --web.listen-address={ADDRESS}:{lab.port('alertmanager')} "
        "--log.level=warn",
        "prometheus": f'"{programs[0]}" --config.file="{home / "prometheus.yml"}" --storage.tsdb.path="{home / "prometheus"}" '
        f"--storage.tsdb.retention.time={KEPT} --web.listen-address={ADDRESS}:{lab.port('prometheus')} "
        "--log.level=warn",
    }


def rules() -> str:
    """Return the alert rules of the handbook, with shorter time windows."""
    text = shipped_files.text(shipped_files.RULES)
    for window, shorter in SHORTER:
        text = text.replace(window, shorter)
    return text


def configure(lab: Lab) -> None:
    """Write the configuration files of the monitoring programs."""
    home = lab.home(HOST)
    prometheus = {
        "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [_targets(lab, "alertmanager")]},
        "scrape_configs": [{"job_name": job, "static_configs": [_target(lab, port)]} for job, port in JOBS.items()],
    }
    alertmanager = {
        "route": {"receiver": "oncall", "group_wait": "0s", "group_interval": EVERY},
        "receivers": [{"name": "oncall"}],
    }
    put(home / RULES, rules())
    put(home / "prometheus.yml", json.dumps(prometheus, indent=1) + "\n")  # JSON is valid YAML
    put(home / "alertmanager.yml", json.dumps(alertmanager, indent=1) + "\n")


def _target(lab: Lab, port: str) -> dict[str, list[str]]:
    return {"targets": [f"{ADDRESS}:{lab.port(port)}"]}


def _targets(lab: Lab, port: str) -> dict[str, list[dict[str, list[str]]]]:
    return {"static_configs": [_target(lab, port)]}
