"""Actions `postgres.*` that take, verify and restore backups, and actions that run after a restore.

Lives here: backups by pg_dump, physical backups with WAL, restores of single tables and rows, and the actions that admit
clients or clean up after a restore.
Lives elsewhere: the dumps, base backups and restores themselves (`systems.postgres`), the comparison with a backup (`comparison`).
"""
