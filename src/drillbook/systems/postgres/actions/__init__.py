"""Actions whose names begin with `postgres.`; each module contains one group of them.

Lives here: backups and restores, faults, checks, measurements and comparisons of a database.
Lives elsewhere: connections, dumps, clusters and WAL (`systems.postgres`).
"""
