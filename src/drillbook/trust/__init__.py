"""Trust in the code of a project. A user reads the commands of the project, and records that they are trusted. A digest
of the commands shows later changes.

Lives here: collecting the commands that read-only tasks would execute, records of trust, trust states of projects.
Lives elsewhere: the task `trust` (`cli.trust_task`).
"""
