"""A run as an OpenTelemetry trace, made from its journal: a span for the drill, each phase, step, host and probe."""
