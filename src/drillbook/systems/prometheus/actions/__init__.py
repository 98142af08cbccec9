"""Actions `prometheus.*` and `alertmanager.*`.

Lives here: waiting for alerts, queries, and the arrival of an alert at a receiver.
Lives elsewhere: the HTTP client, alerts and series (`systems.prometheus`).
"""
