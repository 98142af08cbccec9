"""Makes traces of runs for OpenTelemetry from journals, and metrics of a project for Prometheus from results.

Lives here: spans, sending spans by OTLP, metrics, alert rules, the dashboard.
Lives elsewhere: the journal (`journal`), schedules and due dates (`project`).
"""
