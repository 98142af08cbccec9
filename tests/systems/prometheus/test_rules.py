"""The handbook's rules, evaluated by promtool: as shipped, and with the windows of a lab."""

import subprocess
from pathlib import Path

import pytest

from drillbook.catalog import shipped_files
from drillbook.diagnosis import trees
from drillbook.lab import monitoring
from drillbook.lab.layout import Lab
from tests.needs import need

FOLDER = Path(__file__).parents[3] / "drills" / "handbook" / "rules"
TESTS = """\
rule_files: [handbook.rules.yml]
evaluation_interval: 1s
tests:
  - interval: 1s
    input_series:
      - {series: 'http_requests_total{job="api", status="200"}', values: 0+9x60}
      - {series: 'http_requests_total{job="api", status="503"}', values: 0x10 0+1x20 20x40}
      - {series: 'pg_stat_activity_count{instance="db"}', values: 80x10 81x10 80x40}
    promql_expr_test:
      - {expr: 'count(ALERTS{alertstate="firing", alertname="ApiErrorRate"}) or vector(0)', eval_time: 9s, exp_samples: [{labels: '{}', value: 0}]}
      - {expr: 'count(ALERTS{alertstate="firing", alertname="ApiErrorRate"}) or vector(0)', eval_time: 24s, exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing", alertname="ApiErrorRate"}) or vector(0)', eval_time: 45s, exp_samples: [{labels: '{}', value: 0}]}
      - {expr: 'count(ALERTS{alertstate="firing", alertname="DatabaseConnections"}) or vector(0)', eval_time: 9s, exp_samples: [{labels: '{}', value: 0}]}
      - {expr: 'count(ALERTS{alertstate="firing", alertname="DatabaseConnections"}) or vector(0)', eval_time: 16s, exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'count(ALERTS{alertstate="firing", alertname="DatabaseConnections"}) or vector(0)', eval_time: 30s, exp_samples: [{labels: '{}', value: 0}]}
"""


GROWTH = """\
evaluation_interval: 1s
tests:
  - interval: 5s
    input_series:
      - {series: 'up{job="api"}', values: "1x120"}
      - {series: 'process_resident_memory_bytes{job="api"}', values: "SERIES"}
    promql_expr_test:
      - {expr: 'QUERY', eval_time: 10m, exp_samples: FOUND}
"""
MIB = 1 << 20


def query(name, tree="http"):
    """Query of a shipped tree to Prometheus, about the service `api`."""
    (found,) = (
        one.params["query"] for one in trees.load(FOLDER.parents[1] / "diagnosis" / f"{tree}.yml").checks if one.id == name
    )
    return found.replace("{{ service.name }}", "api")


@pytest.mark.parametrize(
    ("series", "grown"),
    [
        (f"{400 * MIB}x120", None),
        (f"{200 * MIB}x79 {200 * MIB}+{5 * MIB}x40", 180 * MIB),  # 1 MiB a second, and never a pause
        (f"{100 * MIB}x110 {600 * MIB}x10", None),  # once, as when a worker begins
        (f"{40 * MIB}+{MIB // 4}x120", None),  # too little to matter
        (f"{2000 * MIB}+{2 * MIB}x120", None),  # and in proportion
        (f"_x100 {100 * MIB}+{20 * MIB}x20", None),  # it began just now
        (f"{100 * MIB}+{20 * MIB}x60 {100 * MIB}+{5 * MIB}x60", 180 * MIB),
    ],
)
def test_memory_that_grows_without_a_pause(tmp_path, series, grown):
    sample = f"[{{labels: '{{job=\"api\"}}', value: {grown}}}]"
    text = GROWTH.replace("SERIES", series).replace("QUERY", query("growth")).replace("FOUND", sample if grown else "[]")
    (tmp_path / "tests.yml").write_text(text)
    promtool(tmp_path, "test", "rules", "tests.yml")


def promtool(folder, *words):
    done = subprocess.run([need("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_handbooks_rules():
    promtool(FOLDER, "check", "rules", "handbook.rules.yml")
    promtool(FOLDER, "test", "rules", "handbook.rules.test.yml")


def test_the_package_and_the_handbook_hold_the_same_rules():
    assert shipped_files.text(shipped_files.RULES) == (FOLDER / monitoring.RULES).read_text()


def test_a_machine_without_prometheus_has_a_lab_without_it(tmp_path):
    assert monitoring.commands(Lab(tmp_path, 20000), str(tmp_path)) == {}


def test_the_rules_of_a_lab(tmp_path):
    text = monitoring.rules()
    assert "m]" not in text
    assert "1m" not in text
    (tmp_path / monitoring.RULES).write_text(text)
    (tmp_path / "tests.yml").write_text(TESTS)
    promtool(tmp_path, "check", "rules", monitoring.RULES)
    promtool(tmp_path, "test", "rules", "tests.yml")
