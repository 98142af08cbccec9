"""Actions `postgres.*` that compare a restored database.

Lives here: the comparison with the record of a backup, and with the database in production.
Lives elsewhere: the reading and comparing of content (`systems.postgres.content`, `systems.postgres.compare`).
"""
