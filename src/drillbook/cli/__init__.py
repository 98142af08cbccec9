"""The invoke tasks and what they show in a terminal; each returns an exit status.

Lives here: task definitions, options, dry runs, tables, and the composition of one run from all other packages.
Lives elsewhere: all that a run does (`engine`), decides (`judge`, `plan`) or reports (`report`).
"""
