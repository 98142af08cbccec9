"""The plan: a drill and an inventory, resolved and checked before any step runs. No host is contacted.

Lives here: reading drills and suites, the plan and its digest, guard, windows, approvals, JSON Schema.
Lives elsewhere: executing a plan (`engine`), checks whether its hosts are ready (`engine.readiness`).
"""
