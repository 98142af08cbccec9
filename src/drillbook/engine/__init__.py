"""The engine: carries out a plan, journals all of it, and puts everything back, also after a crash.

Lives here: runner, steps, probing, locks and leases, abort conditions, undo, recovery, closing of residue.
Lives elsewhere: decisions about a finished run (`judge`), making a plan (`plan`), what a step does (`systems`).
"""
