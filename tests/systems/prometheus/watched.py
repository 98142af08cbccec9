"""Drills that break a file which a real Prometheus monitors."""

from drillbook.inventory import inventory
from tests.engine.test_runner import FAULT, HOSTS, Bench, step

MEND = "restore:\n" + step(["rm", "-f", "DIR/broken"])
FIRES = "detect:\n  - prometheus.alert_fires: {service: metrics, alert: %s, labels: {file: NAME}, within: %s}\n"
CLEARS = "verify:\n  - prometheus.alert_clears: {service: metrics, alert: FileThere, labels: {file: NAME}, within: %s}\n"
RECEIVED = "detect:\n  - alertmanager.received: {service: alerts, alert: FileThere, labels: {file: NAME}, within: %s}\n"
BREAK = FAULT % "[rm, -f, DIR/broken]"


class Watched(Bench):
    """Bench whose file ``broken`` is monitored by Prometheus; ``NAME`` in a drill is its name there."""

    def __init__(self, root, watch, prometheus="", objectives="{detect: 60s}"):
        super().__init__(root)
        self.file, self.name, self.objectives = root / "broken", root.name, objectives
        watch.watch(self.name, self.file)
        services = (
            f"  metrics: {{kind: prometheus, host: controller, url: '{prometheus or watch.prometheus}'}}\n"
            f"  alerts: {{kind: alertmanager, host: controller, url: '{watch.alertmanager}'}}\n"
        )
        (root / "hosts.yml").write_text(
            HOSTS.replace("SCRATCH", str(root / "scratch")).replace(
                "services: {app: {kind: process, host: controller}}\n",
                f"services:\n  app: {{kind: process, host: controller}}\n{services}",
            )
        )
        self.inventory = inventory.load(root / "hosts.yml")

    def run(self, text, observer=lambda event: None):
        return super().run(f"objectives: {self.objectives}\n" + text.replace("NAME", self.name), observer)


def codes(view):
    return {one.code for one in view.result.findings}
