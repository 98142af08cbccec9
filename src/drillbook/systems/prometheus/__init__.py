"""Prometheus and Alertmanager through their HTTP APIs: queries, rules, alerts. Needs no other system.

Lives here: the actions `prometheus.*` and `alertmanager.*`, the service kinds of both.
Lives elsewhere: detection time of an expected alert (`judge.detection`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"alertmanager": ".actions.alertmanager", "prometheus": ".actions.prometheus"},
    services={"alertmanager": ".service", "prometheus": ".service"},
    examples="examples",
    host_needs=".host_needs",
)
