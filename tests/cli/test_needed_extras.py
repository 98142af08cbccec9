"""Parts that need an extra, in an environment of Python that does not have it: refused before the run, and named by `drill.check`."""

import subprocess

import pytest

from tests import lacking
from tests.needs import library
from tests.program import Folder, fault, step

OTEL = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write(fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"]) + "restore:\n" + step(["true"]))
    return made


class Lacking:
    """The program in a project folder, without some distributions."""

    def __init__(self, folder: Folder, *distributions: str) -> None:
        self.folder = folder
        self.start = lacking.without(folder.root / f"python-{len(distributions)}", *distributions)

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.start, *argv],
            cwd=self.folder.root,
            env={**self.folder.environment, "COLUMNS": "1000", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def refused(self, *argv: str, **environment: str) -> str:
        """Run a drill that needs what is missing. Nothing may be touched. Return the message."""
        done = self.run(*argv, **environment)
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert not (self.folder.root / "broken").exists()
        assert not list(self.folder.root.glob("reports/*/journal.jsonl"))
        assert "No drill was run" in done.stderr
        return done.stderr


def test_traces_are_refused_beside_packages_of_opentelemetry_that_other_extras_bring(folder):
    library("opentelemetry.sdk")
    program = Lacking(folder, *OTEL)
    text = program.refused("drill", "sample", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert "sending the trace needs the extra `otel`" in text
    assert "[otel]" in text, "the command that adds it"
    text = Lacking(folder, OTEL[1]).refused("drill", "sample", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert "sending the trace needs the extra `otel`" in text, "the exporter alone is missing"


def test_metrics_of_the_settings_are_refused_before_the_run(folder):
    library("prometheus_client")
    (folder.root / "drillbook.yml").write_text("metrics: drillbook.prom\n")
    program = Lacking(folder, "prometheus_client")
    text = program.refused("drill", "sample")
    assert "the file of metrics, which drillbook.yml names, needs the extra `metrics`" in text
    assert "[metrics]" in text, "the command that adds it"


def test_all_missing_extras_are_named_at_once_with_one_command(folder):
    library("prometheus_client")
    (folder.root / "drillbook.yml").write_text("metrics: drillbook.prom\n")
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text() + "contacts: {oncall: {role: on call, notify: [!env WAY]}}\n")
    program = Lacking(folder, "prometheus_client", "apprise", "rfc3161-client")
    away = {"WAY": "json://127.0.0.1:9/", "DRILLBOOK_TIMESTAMP": "http://127.0.0.1:9/"}
    text = program.refused("drill", "sample", **away)
    for extra in ("metrics", "notify", "timestamp"):
        assert f"needs the extra `{extra}`" in text
    assert "[timestamp,metrics,notify]" in text, "one command adds all"


def test_a_check_names_every_missing_extra_and_ends_as_the_drill_would(folder):
    library("prometheus_client")
    (folder.root / "drillbook.yml").write_text("metrics: drillbook.prom\n")
    inventory = folder.root / "inventory" / "lab.yml"
    inventory.write_text(inventory.read_text() + "contacts: {oncall: {role: on call, notify: [!env WAY]}}\n")
    program = Lacking(folder, "prometheus_client", "apprise", "rfc3161-client", *OTEL)
    done = program.run(
        "drill.check",
        "sample",
        WAY="json://127.0.0.1:9/",
        DRILLBOOK_TIMESTAMP="http://127.0.0.1:9/",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318",
    )
    assert done.returncode == 2, (done.stdout, done.stderr)
    said = " ".join(done.stdout.split())
    for extra in ("otel", "metrics", "notify", "timestamp"):
        assert f"needs the extra `{extra}`" in said
        assert f"[{extra}]" in said, "the command that adds it"
    assert "✗ the drill would end with exit 2 before it begins" in said
