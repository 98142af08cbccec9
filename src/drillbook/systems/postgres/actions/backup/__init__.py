"""Actions `postgres.*` that take, verify and restore backups, and that follow a restore.

Lives here: backups by pg_dump, physical backups with WAL, restores of single tables and rows, and what comes after a restore.
Lives elsewhere: the dumps, base backups and restores themselves (`systems.postgres`), the comparison with a backup (`comparison`).
"""
