"""Actions `postgres.*` that break something.

Lives here: faults of the server, of tables and rows, and of sessions.
Lives elsewhere: the fault that drops an index, beside the actions that create it again (`planning`).
"""
