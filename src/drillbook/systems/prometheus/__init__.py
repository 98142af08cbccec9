"""Support for Prometheus and Alertmanager: queries, alerting rules and alerts, through their HTTP APIs. It uses no other
package of `systems`.

Lives here: the actions `prometheus.*` and `alertmanager.*`, the service kinds `prometheus` and `alertmanager`.
Lives elsewhere: the computation of the detection time of an expected alert (`judge.detection`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"alertmanager": ".actions.alertmanager", "prometheus": ".actions.prometheus"},
    services={"alertmanager": ".service", "prometheus": ".service"},
    examples="examples",
    host_needs=".host_needs",
)
