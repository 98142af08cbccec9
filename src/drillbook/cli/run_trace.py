"""Sends the trace of a finished run to the OpenTelemetry collector, and records in the journal whether this succeeded."""

from __future__ import annotations

from contextlib import suppress

from drillbook.errors import DrillbookError
from drillbook.events.holds import TraceMissed, TraceSent
from drillbook.journal.journal import Journal, read
from drillbook.judge.judge import judge
from drillbook.telemetry import export, spans


def send(journal: Journal, run: str, suite: str = "") -> None:
    """Send the trace of a finished run to the collector, and record in the journal whether this succeeded. Do nothing
    when no collector is configured.

    ``suite``: name of the suite to which the run belongs. The trace of the suite contains the trace of the run.
    """
    where = export.endpoint()
    if not where:
        return
    with suppress(DrillbookError, OSError):  # Ignored: if the disk is full, the journal itself reports this.
        try:
            history = read(journal.path)
            trace = spans.of_run(history.events, str(judge(history).result.verdict))
            export.export(run, trace, suite=suite)
            journal.append(TraceSent(to=where, spans=len(trace)))
        except export.NotExported as error:
            journal.append(TraceMissed(to=where, message=str(error)))
