"""Sends the spans of a run to an OpenTelemetry collector by OTLP over HTTP. This happens after the run, and within a
deadline.

The settings are those of OpenTelemetry (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). The endpoint and
its headers are in the variables ``OTEL_EXPORTER_OTLP_*``. A collector that does not answer delays only the very end of
a run, and at most until the deadline.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from drillbook import __version__
from drillbook.installation import extras
from drillbook.telemetry.ids import ROOT, span_id, trace_id
from drillbook.telemetry.spans import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

DEADLINE_S = 10.0
BATCH = 200
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class NotExported(Exception):
    """Raised when the spans did not reach the collector. The text of the error is the reason."""


def endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of the collector without credentials. The result is empty when tracing is off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    url = next((environment[name] for name in ENDPOINTS if environment.get(name)), "")
    try:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{place}" if parts.hostname and parts.port != 0 else ""
    except ValueError:  # not a URL with a valid port: the run continues without a trace
        return ""


def export(run: str, spans: Sequence[Span], deadline_s: float = DEADLINE_S, *, suite: str = "") -> None:
    """Send the ``spans`` of ``run`` to the collector. If ``suite`` is given, they become part of the trace of this
    suite.

    Raises NotExported when sending fails, or when it takes longer than ``deadline_s`` seconds.
    """
    result: list[str] = []
    thread = threading.Thread(
        target=lambda: result.append(_sent(run, suite or run, spans, deadline_s)), name="trace", daemon=True
    )
    thread.start()
    thread.join(deadline_s)
    if thread.is_alive() or not result:
        raise NotExported(f"the spans were not sent within {deadline_s:g} s, including the time to load OpenTelemetry")
    if result[0]:
        raise NotExported(result[0])


def _sent(run: str, trace: str, spans: Sequence[Span], deadline_s: float) -> str:
    """Send the spans. Returns the reason when this fails, and otherwise an empty text."""
    try:
        # These imports are slow, and need an optional extra.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  an extra, and slow to load
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415  an extra, and slow to load
    except ImportError:
        return f"OpenTelemetry is not installed. {extras.adding('otel')}"
    quiet = logging.getLogger("opentelemetry")
    quiet.propagate = False
    if not quiet.handlers:
        quiet.addHandler(logging.NullHandler())
    try:
        exporter = OTLPSpanExporter(timeout=max(1, int(deadline_s / 2)))
        try:
            for start in range(0, len(spans), BATCH):
                batch = [_readable(run, trace, span) for span in spans[start : start + BATCH]]
                if exporter.export(batch) is not SpanExportResult.SUCCESS:
                    return "the collector did not accept the spans"
        finally:
            exporter.shutdown()  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001  never affects the run; the error's text may hold the address
        return f"the exporter failed: {type(error).__name__}"
    return ""


def _readable(run: str, trace: str, span: Span) -> ReadableSpan:
    """Convert ``span`` to the format of the OpenTelemetry SDK. The converted span has the same ids as in the headers
    ``traceparent`` that the requests of the run have already sent.

    If ``trace`` is the trace of a suite, the first span of the run becomes a child of the first span of the suite.
    """
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  an extra, and slow to load
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415  an extra, and slow to load
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415  an extra, and slow to load
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags  # noqa: PLC0415  an extra, and slow to load

    def context(of: str, key: str) -> Any:
        return SpanContext(trace_id(trace), span_id(of, key), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    above = (run, span.parent) if span.parent else (trace, ROOT)
    return ReadableSpan(
        name=span.name,
        context=context(run, span.key),
        parent=None if above == (run, span.key) else context(*above),
        resource=Resource.create(
            {"service.name": os.environ.get("OTEL_SERVICE_NAME") or "drillbook", "service.version": __version__}
        ),
        attributes=span.attributes,
        start_time=span.start,
        end_time=span.end,
        events=[Event(moment.name, moment.attributes, moment.at) for moment in span.moments],
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK),
        instrumentation_scope=InstrumentationScope("drillbook", __version__),
    )
