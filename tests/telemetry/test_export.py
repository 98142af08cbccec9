"""Traces of complete runs: to a receiver in this process, to a silent one, to one that refuses, and to none."""

import json
import socket
import sys

import pytest

from drillbook.judge.result import Verdict
from drillbook.telemetry import export
from drillbook.telemetry.ids import ROOT, span_id, trace_id, traceparent
from drillbook.telemetry.spans import Span
from tests.engine.test_runner import Bench, step
from tests.report.test_event_lines import printed
from tests.telemetry.collector import Collector

DRILL = """\
probes:
  - http.available: {url: "URL/probe", every: 100ms}
restore:
"""
CHECKS = """\
verify:
  - http.responds: {url: "URL/check"}
  - http.load: {url: "URL", path: /load, rate: 20, seconds: 300ms, patience: 10s}
"""


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in export.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


def traced(tmp_path, collector, monkeypatch, url=None):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url or collector.url)
    bench = Bench(tmp_path)
    text = (DRILL + step(["printf", "%s%s", "s3cret", "-output"], "name: Say it") + CHECKS).replace("URL", collector.url)
    return bench, bench.run(text)


def test_a_run_is_a_trace(tmp_path, collector, monkeypatch):
    bench, view = traced(tmp_path, collector, monkeypatch)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert set(collector.paths) == {"/v1/traces"}
    assert {one["service.name"] for one in collector.resources} == {"drillbook"}
    assert len({one.trace_id for one in collector.spans}) == 1
    by_id = {one.span_id: one for one in collector.spans}
    assert len(by_id) == len(collector.spans)
    roots = [one for one in collector.spans if not one.parent_span_id]
    assert [one.name for one in roots] == ["drill sample"]

    def path(one):
        return (*path(by_id[one.parent_span_id]), one.name) if one.parent_span_id else (one.name,)

    paths = {path(one) for one in collector.spans}
    assert {
        ("drill sample", "restore", "Say it", "command.run on controller"),
        ("drill sample", "probe http.available"),
        ("drill sample", "verify", "http.responds", "http.responds on controller"),
    } <= paths
    for one in collector.spans:
        assert (
            roots[0].start_time_unix_nano
            <= one.start_time_unix_nano
            <= one.end_time_unix_nano
            <= roots[0].end_time_unix_nano
        )
        assert one.status.code == 1, "ok"
    said = next(one for one in collector.spans if one.name == "command.run on controller")
    assert "command" in [event.name for event in said.events]
    assert "s3cret-output" not in str(collector.spans), "what targets print stays in the journal"
    assert bench.events("trace.sent")[0].data == {"to": collector.url, "spans": len(collector.spans)}


def test_requests_carry_the_context_of_their_span(tmp_path, collector, monkeypatch):
    _, view = traced(tmp_path, collector, monkeypatch)
    seen = set(collector.asked)
    assert seen == {
        traceparent(view.result.run, "probe.1"),
        traceparent(view.result.run, "verify.1", "controller"),
        traceparent(view.result.run, "verify.2", "controller"),
    }
    known = {f"00-{one.trace_id.hex()}-{one.span_id.hex()}-01" for one in collector.spans}
    assert seen <= known


def test_without_a_collector_nothing_is_sent_and_no_request_is_marked(tmp_path, collector):
    bench = Bench(tmp_path)
    bench.run(CHECKS.replace("URL", collector.url))
    assert set(collector.asked) == {None}
    assert (collector.paths, bench.events("trace.sent"), bench.events("trace.missed")) == ([], [], [])
    assert export.endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}) == ""
    assert (
        export.endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:hunter2@c.example:4318/v"}) == "https://c.example:4318"
    )
    assert export.endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:4318"}) == "http://[::1]:4318"
    for unusable in ("http://collector:$PORT", "http://[::1", "http://collector:99999"):
        assert export.endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": unusable}) == "", "tracing never stops a run"


def test_a_collector_that_is_down_harms_no_run(tmp_path, collector, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(export.export, "__defaults__", (2.0,))
    bench, view = traced(tmp_path, collector, monkeypatch, f"http://127.0.0.1:{port}")
    assert view.result.verdict is Verdict.PASSED
    missed = bench.events("trace.missed")[0].data
    assert missed["to"] == f"http://127.0.0.1:{port}"
    assert "the trace could not be sent to" in (bench.folder / "report.md").read_text().replace("\\", "")
    (event,) = bench.events("trace.missed")
    (line,) = printed(event, brief=True)
    assert line.strip().startswith(f"! the trace could not be sent to http://127.0.0.1:{port}: "), "at the terminal"
    assert json.loads((bench.folder / "result.json").read_text())["verdict"] == "passed"


def test_the_command_that_adds_a_missing_package_is_never_cut(tmp_path, collector, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.setattr(sys, "executable", f"/{'deep ' * 60}/bin/python")
    bench, view = traced(tmp_path, collector, monkeypatch)
    assert view.result.verdict is Verdict.PASSED
    (event,) = bench.events("trace.missed")
    command = event.data["message"].partition("to add it: ")[2]
    assert command.endswith("[otel]'")
    assert len(event.data["message"]) > 300
    assert command in " ".join(" ".join(printed(event, brief=True)).split()), "at the terminal"
    assert any(command in note.text for note in view.notes), "in the report"


def test_a_collector_that_is_silent_costs_its_deadline_only(tmp_path):
    silent = Collector(silent=True)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", silent.url)
            bench = Bench(tmp_path)
            patch.setattr(export.export, "__defaults__", (1.0,))
            view = bench.run("")
            assert view.result.verdict is Verdict.PASSED
            assert "were not sent within 1 s" in bench.events("trace.missed")[0].data["message"]
    finally:
        silent.close()


def test_a_collector_that_refuses_is_told(tmp_path, monkeypatch):
    refusing = Collector(status=400)
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refusing.url)
        bench = Bench(tmp_path)
        assert bench.run("").result.verdict is Verdict.PASSED
        assert bench.events("trace.missed")[0].data["message"] == "the collector did not accept the spans"
    finally:
        refusing.close()


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:s3cret@collector/v1/traces?key=s3cret"}, "https://collector"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318"},
            "http://traces:4318",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": " True "}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:port"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:0"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector"}, ""),
    ],
    ids=range(8),
)
def test_the_address_of_the_collector_has_no_credentials(environment, address):
    assert export.endpoint(environment) == address


def test_spans_are_sent_in_batches_each_with_the_ids_of_its_run(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setattr(export, "BATCH", 2)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-drills")
    keys = [ROOT, "phase", "step"]
    spans = [Span(key, ROOT if key != ROOT else "", key, 1, 2, "why" if key == "step" else "", {"n": 1}) for key in keys]
    export.export("r1", spans)
    assert collector.paths == ["/v1/traces"] * 2
    assert [span.span_id for span in collector.spans] == [span_id("r1", key).to_bytes(8) for key in keys]
    assert {span.trace_id for span in collector.spans} == {trace_id("r1").to_bytes(16)}
    assert [span.parent_span_id for span in collector.spans] == [b"", *[span_id("r1", ROOT).to_bytes(8)] * 2]
    assert [(span.status.code, span.status.message) for span in collector.spans] == [(1, ""), (1, ""), (2, "why")]
    assert {resource["service.name"] for resource in collector.resources} == {"our-drills"}


def test_a_run_of_a_suite_is_below_the_suite(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    export.export("r1", [Span(ROOT, "", "drill", 1, 2)], suite="s1")
    (span,) = collector.spans
    assert (span.trace_id, span.parent_span_id) == (trace_id("s1").to_bytes(16), span_id("s1", ROOT).to_bytes(8))
