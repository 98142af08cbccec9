"""`invoke drill --trace`: the real program, to a receiver in this process."""

import pytest

from tests.program import Folder, step
from tests.tracing.collector import Collector


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED"):
        made.environment.pop(name, None)
    return made


def test_a_drill_is_sent_to_the_collector_that_is_named(folder):
    collector = Collector()
    try:
        folder.write("restore:\n" + step(["true"]))
        done = folder.run("drill", "sample", f"--trace={collector.url}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "drill sample" in [one.name for one in collector.spans]
    finally:
        collector.close()


def test_what_is_no_address_is_refused_before_anything(folder):
    folder.write("restore:\n" + step(["true"]))
    done = folder.run("drill", "sample", "--trace=nonsense")
    assert done.returncode == 2
    assert "--trace is the URL of a collector" in done.stdout + done.stderr
    assert not (folder.root / "reports" / "latest").exists()
