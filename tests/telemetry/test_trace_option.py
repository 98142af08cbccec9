"""`invoke drill --trace`: the real program, with a receiver in this process."""

import pytest

from tests.program import Folder, step
from tests.telemetry.collector import Collector


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


def test_a_suite_is_one_trace_with_its_drills_in_it(folder):
    collector = Collector()
    try:
        folder.write(
            "restore:\n" + step(["true"]) + f'verify:\n  - http.responds: {{url: "{collector.url}/check"}}\n', "one"
        )
        folder.write("restore:\n" + step(["false"]), "two")
        (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [one, two]\n")
        done = folder.run("drill", "all", f"--trace={collector.url}")
        assert done.returncode == 1, done.stdout + done.stderr
        found = collector.spans
        (suite,) = [one for one in found if not one.parent_span_id]
        assert (suite.name, suite.status.message) == ("suite all", "failed")
        assert {one.trace_id for one in found} == {suite.trace_id}
        assert len({one.span_id for one in found}) == len(found), "drills of one trace have spans of their own"
        assert sorted(one.name for one in found if one.parent_span_id == suite.span_id) == ["drill one", "drill two"]
        assert all(suite.start_time_unix_nano <= one.start_time_unix_nano for one in found)
        assert {one.split("-")[1] for one in collector.asked} == {suite.trace_id.hex()}
        assert {one.split("-")[2] for one in collector.asked} <= {one.span_id.hex() for one in found}
    finally:
        collector.close()


def test_what_is_no_address_is_refused_before_anything(folder):
    folder.write("restore:\n" + step(["true"]))
    done = folder.run("drill", "sample", "--trace=nonsense")
    assert done.returncode == 2
    assert "--trace must be the URL of a collector" in done.stdout + done.stderr
    assert not (folder.root / "reports" / "latest").exists()
