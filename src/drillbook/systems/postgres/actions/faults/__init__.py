"""Actions `postgres.*` that break something.

Lives here: faults of the server, of tables and rows, and of sessions.
Lives elsewhere: a dropped index, beside the actions that mend it (`planning`).
"""
