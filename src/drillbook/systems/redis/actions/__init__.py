"""Actions `redis.*`, in one module for each group.

Lives here: backups, the mark of a run, the fault that deletes all keys, checks of health, and the newest moment of data.
Lives elsewhere: connections, saving, restoring and comparing of keyspaces (`systems.redis`).
"""
