"""Trust in the code of a project: its commands, their digest, and the record of a user's trust in them.

Lives here: collecting the commands that read-only tasks would execute, records of trust, the trust state of a project.
Lives elsewhere: the task `trust` (`cli.trust`).
"""
