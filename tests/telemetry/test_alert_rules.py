"""Shipped alert rules, evaluated by promtool: each alert fires at its moment and not before."""

import subprocess
from pathlib import Path

import yaml

from drillbook.telemetry.metrics import FAMILIES, PREFIX
from tests.needs import need

CASES = Path(__file__).with_name("alerts.test.yml")
RULES = Path(__file__).parents[2] / "src" / "drillbook" / "telemetry" / "monitoring" / "drillbook.rules.yml"


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_every_alert_fires_at_its_moment(tmp_path):
    cases = tmp_path / "alerts.test.yml"
    cases.write_text(CASES.read_text().replace("RULES", str(RULES)))
    done = subprocess.run([need("promtool"), "test", "rules", str(cases)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires():
    cases = yaml.safe_load(CASES.read_text())["tests"]
    fired = {case["alertname"] for test in cases for case in test["alert_rule_test"] if case["exp_alerts"]}
    silent = {case["alertname"] for test in cases for case in test["alert_rule_test"] if not case["exp_alerts"]}
    assert {alert["alert"] for alert in alerts()} == fired == silent


def test_the_rules_name_only_metrics_that_exist():
    words = {
        word for alert in alerts() for word in alert["expr"].replace("(", " ").replace("{", " ").replace(")", " ").split()
    }
    named = {word for word in words if word.startswith(PREFIX)}
    assert len(named) >= 8
    assert named <= {PREFIX + name for name in FAMILIES}
