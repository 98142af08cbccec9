"""Actions `prometheus.*` and `alertmanager.*`."""
