"""Trust in the commands of a project: which there are, the digest that names them, and who trusted it.

Lives here: collecting the texts that reading would execute, records of trust, the standing of a project.
Lives elsewhere: the task `trust` (`cli.trust`).
"""
