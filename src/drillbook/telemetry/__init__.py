"""Traces of runs for OpenTelemetry: a span for the drill, each phase, step, host and probe, made from the journal.

Lives here: ids, spans, and sending them by OTLP.
Lives elsewhere: the run's own record (`journal`).
"""
