"""Actions `postgres.*` that change nothing.

Lives here: the health, the activity, the plans, the indexes and the integrity of a server, and the objects to which rows refer.
Lives elsewhere: comparisons (`comparison`), the time of the newest data (`moments`), checks of backups (`backup`).
"""
