"""Traces of runs for OpenTelemetry: spans for the drill, each phase, step, host and probe, made from the journal.

Lives here: the ids of traces and spans, the spans, and sending them by OTLP.
Lives elsewhere: the journal, from which spans are made (`journal`).
"""
