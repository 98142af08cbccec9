"""Disposable servers: temporary Redis servers that load a file of a backup, so that its content can be read.

Lives here: a server in a sandbox for the backups of a team, and the trial server beside the service for the backups of `redis.save`.
Lives elsewhere: the sandbox (`sdk.sandbox`), the reading of the content (`systems.redis.content`).
"""
