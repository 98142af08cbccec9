"""The handbook's rules as promtool sees them: as they ship, and with the windows of a lab."""

import subprocess
from pathlib import Path

from drillbook.lab import monitoring
from drillbook.lab.layout import Lab
from tests.needs import need

FOLDER = Path(__file__).parent.parent.parent / "drills" / "handbook" / "rules"
TEMPLATE = Path(monitoring.__file__).parent / monitoring.RULES
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


def promtool(folder, *words):
    done = subprocess.run([need("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_handbooks_rules():
    promtool(FOLDER, "check", "rules", "handbook.rules.yml")
    promtool(FOLDER, "test", "rules", "handbook.rules.test.yml")


def test_the_package_and_the_handbook_hold_the_same_rules():
    assert TEMPLATE.read_bytes() == (FOLDER / monitoring.RULES).read_bytes()


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
