"""Ids of traces: known before a run ends, and in the form of W3C Trace Context."""

import re

from drillbook.telemetry import ids


def test_ids_follow_from_names_alone():
    assert ids.trace_id("run-1") == ids.trace_id("run-1") != ids.trace_id("run-2")
    assert 0 < ids.trace_id("run-1") < 2**128
    assert 0 < ids.span_id("run-1", ids.ROOT) < 2**64
    assert ids.span_id("run-1", ids.step_key("a", "b")) != ids.span_id("run-1", ids.step_key("a b"))


def test_the_header_names_the_span_of_its_step():
    header = ids.traceparent("run-1", "verify.1", "app")
    trace, span = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-01", header).groups()
    assert int(trace, 16) == ids.trace_id("run-1")
    assert int(span, 16) == ids.span_id("run-1", ids.step_key("verify.1", "app"))
    assert ids.traceparent("run-1", "verify.1", "app", trace="suite")[3:35] == f"{ids.trace_id('suite'):032x}"
