"""Prometheus and Alertmanager as their HTTP APIs show them: queries, rules, alerts, and when an alert began to fire."""
