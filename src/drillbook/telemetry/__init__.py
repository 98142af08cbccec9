"""Traces of runs for OpenTelemetry, made from journals, and metrics of a project for Prometheus, made from results.

Lives here: the spans and sending them by OTLP; the metrics, the alert rules and the dashboard for them.
Lives elsewhere: the journal (`journal`), schedules and what is due (`project`).
"""
