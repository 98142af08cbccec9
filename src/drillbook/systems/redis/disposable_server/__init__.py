"""Disposable servers: temporary Redis servers that load a file of a backup, so that its content can be read.

Lives here: for backups of a team, a server in a sandbox; for backups of `redis.save`, the trial server on the host of the
service.
Lives elsewhere: the sandbox (`sdk.sandbox`), the reading of the content (`systems.redis.content`).
"""
