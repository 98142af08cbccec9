"""The engine: executes a plan, journals every event, and undoes every change, even after a crash.

Lives here: runner, steps, probing, locks and leases, abort conditions, undo, recovery, closing of residue.
Lives elsewhere: the judgement of a finished run (`judge`), making a plan (`plan`), the work of a step (`systems`).
"""
