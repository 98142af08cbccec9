"""The invoke tasks and their output to the terminal. Each task returns an exit status.

Lives here: task definitions, options, dry runs, tables, and the assembly of a run from the other packages.
Lives elsewhere: executing a run (`engine`), decisions (`judge`, `plan`), reports (`report`).
"""
