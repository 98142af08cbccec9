"""Trust in the code of a project: its commands, the digest of its commands, and the record that a user trusts them.

Lives here: collecting the commands that read-only tasks would execute, records of trust, the trust state of a project.
Lives elsewhere: the task `trust` (`cli.trust`).
"""
