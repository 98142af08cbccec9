"""The plan: a drill and an inventory, resolved and checked before anything runs. Pure: no host is asked.

Lives here: reading drills and suites, the plan and its digest, guard, windows, approvals, JSON Schema.
Lives elsewhere: carrying a plan out (`engine`), whether hosts are ready for it (`engine.readiness`).
"""
