"""Network access that requests to Prometheus and Alertmanager need."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "prometheus.*": HostNeeds(ports="access to the HTTP port of Prometheus, from the controller"),
    "alertmanager.*": HostNeeds(ports="access to the HTTP port of Alertmanager, from the controller"),
}
