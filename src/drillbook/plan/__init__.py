"""Makes and checks the plan of a drill on an inventory before any step runs. No host is contacted.

Lives here: reading drills and suites, the plan and its digest, guard, windows, approvals, JSON Schema.
Lives elsewhere: executing a plan (`engine`), checking that the hosts of a plan are ready (`engine.readiness`).
"""
