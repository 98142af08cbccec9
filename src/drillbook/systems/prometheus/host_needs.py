"""Needs of requests to Prometheus and Alertmanager."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "prometheus.*": HostNeeds(ports="Prometheus' HTTP port, by `reach`"),
    "alertmanager.*": HostNeeds(ports="Alertmanager's HTTP port, by `reach`"),
}
