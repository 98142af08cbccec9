"""File of metrics: valid for Prometheus and as OpenMetrics, written atomically, and readable by the collector."""

import subprocess
from pathlib import Path

import pytest

from drillbook.errors import UsageError
from drillbook.telemetry import metrics
from drillbook.telemetry.metrics import FAMILIES, PREFIX, Sample
from tests.needs import library, need

ROOT = Path(__file__).parents[2]
SUBJECT = ('data"base\\', "sample\n", "lab")


def every():
    """One sample of each metric, with labels that need escaping."""
    for number, (name, (_, labels)) in enumerate(FAMILIES.items()):
        yield Sample(name, (*SUBJECT, "rto")[: len(labels)], number + 0.5)


@pytest.fixture(autouse=True)
def installed():
    library("prometheus_client")


def test_promtool_accepts_the_file():
    content = metrics.exposition(every())
    done = subprocess.run([need("promtool"), "check", "metrics"], input=content, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("openmetrics", [False, True])
def test_what_is_read_back_is_what_was_written(openmetrics):
    from prometheus_client.openmetrics import parser as open_parser
    from prometheus_client.parser import text_string_to_metric_families

    text = metrics.exposition(every(), openmetrics=openmetrics).decode()
    parse = open_parser.text_string_to_metric_families if openmetrics else text_string_to_metric_families
    read = {one.name: (tuple(one.labels.values()), one.value) for family in parse(text) for one in family.samples}
    for one in every():
        labels, value = read[PREFIX + one.name]
        assert (sorted(labels), value) == (sorted(one.labels), one.value)
    assert text.endswith("# EOF\n") is openmetrics


def test_the_file_is_replaced_as_a_whole_and_readable_by_others(tmp_path):
    path = tmp_path / "collector" / "drillbook.prom"
    metrics.write(path, b"one\n")
    metrics.write(path, b"two\n")
    assert path.read_bytes() == b"two\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"the metrics cannot be written to .*drillbook\.prom: "):
        metrics.write(tmp_path / "file" / "drillbook.prom", b"")


def test_the_page_lists_every_metric_and_alert():
    page = (ROOT / "docs" / "metrics.md").read_text()
    for name, (text, labels) in FAMILIES.items():
        assert f"| `{PREFIX}{name}` | {text} | {', '.join(f'`{label}`' for label in labels)} |" in page
    rules = (ROOT / "src/drillbook/telemetry/monitoring/drillbook.rules.yml").read_text()
    for line in rules.splitlines():
        if "- alert: " in line:
            assert f"| `{line.split()[-1]}` |" in page
